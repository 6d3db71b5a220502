"""Each model as files: the checkpoint, adaptact's ONNX file, and the one that torch writes by itself."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from adaptive_act import save
from convert.manifest.manifest import Manifest
from convert.pipeline import convert
from convert.sources.torch_output import silence_torch
from examples.digits.data import CLASSES
from examples.digits.model import build

INPUT = "image"
OUTPUT = "logits"
SHAPE = (1, 8, 8)


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """The two ONNX files of one model, and the manifest of adaptact's."""

    file: Path
    torch_file: Path
    manifest: Manifest


def export(model: nn.Module, name: str, folder: Path) -> ExportedModel:
    """Writes `name`.pt, models/`name`/1/model.onnx and by-torch/`name`.onnx in `folder`."""
    checkpoint = folder / f"{name}.pt"
    file = folder / "models" / name / "1" / "model.onnx"
    torch_file = folder / "by-torch" / f"{name}.onnx"
    torch_file.parent.mkdir(parents=True, exist_ok=True)
    manifest = export_file(model, checkpoint, file)
    _export_by_torch(model, torch_file)
    return ExportedModel(file, torch_file, manifest)


def export_file(model: nn.Module, checkpoint: Path, file: Path) -> Manifest:
    """The manifest of the model's ONNX file, which is written as its checkpoint is."""
    file.parent.mkdir(parents=True, exist_ok=True)
    save(
        model,
        checkpoint,
        factory=build,
        inputs=[{"name": INPUT, "dtype": "float32", "shape": [None, *SHAPE]}],
        outputs=[OUTPUT],
        classes=CLASSES,
        preprocessing={"scale": 1 / 16},
    )
    return convert(checkpoint, file, factory="examples.digits.model:build")


def _export_by_torch(model: nn.Module, path: Path) -> None:
    with silence_torch():
        program = torch.onnx.export(
            model,
            (torch.zeros(2, *SHAPE),),
            dynamo=True,
            verbose=False,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: "batch"},),
        )
    assert program is not None
    program.save(path, external_data=False)
