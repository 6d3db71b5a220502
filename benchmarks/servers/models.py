"""The two models that every server serves: one of almost no cost, and one of a realistic cost."""

from pathlib import Path

import torch
from torch import nn

from adaptive_act import model_factory, save
from convert.pipeline import convert

INPUT, OUTPUT = "x", "y"
SHAPES = {"mlp": [784], "cnn": [3, 32, 32]}


@model_factory
def mlp() -> nn.Module:
    """784-128-10: 12 µs a run."""
    return nn.Sequential(nn.Linear(784, 128), nn.PReLU(), nn.Linear(128, 10))


@model_factory
def cnn() -> nn.Module:
    """Four convolutions on 3×32×32: two or three milliseconds a run on one thread."""
    convolutions = [(3, 64), (64, 128), (128, 256), (256, 256)]
    layers: list[nn.Module] = []
    for place, (inputs, outputs) in enumerate(convolutions):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.PReLU()]
        if place:
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 10))


def write_models(folder: Path) -> None:
    """The two models in Triton's layout, with random weights, exported by adaptact, unless they are there."""
    for factory in (mlp, cnn):
        name = factory.__name__
        path = folder / name / "1" / "model.onnx"
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(0)
        checkpoint = folder / f"{name}.pt"
        inputs = [{"name": INPUT, "dtype": "float32", "shape": [None, *SHAPES[name]]}]
        save(factory(), checkpoint, factory=factory, inputs=inputs, outputs=[OUTPUT])
        convert(checkpoint, path)
        checkpoint.unlink()
