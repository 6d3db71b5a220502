"""Small models that the tests of convert export, and how they are put into files and stages."""

from collections.abc import Sequence
from pathlib import Path

import onnx_ir as ir
import torch
from torch import Tensor, nn

from adaptive_act import ACTIVATIONS, model_factory, save
from convert.artefact.file import serialise
from convert.model_io.inputs import InputSpec, parse_input
from convert.model_io.runtime import Session
from convert.model_io.samples import generate_samples
from convert.parity.criterion import Comparison, compare, measure_scales
from convert.parity.verify import Original, run_set
from convert.rewriting.optimise import OptimisedGraph, optimise
from convert.sources.export import export
from convert.sources.fold import fold

IMAGES = parse_input("image:float32[N,3,8,8]")


def make_activation(name: str, channels: int | None = None, seed: int = 0) -> nn.Module:
    """The named activation with values away from where it starts."""
    made = ACTIVATIONS[name](channels)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.rand(parameter.shape, generator=generator) * 0.4)
    return made


def cover_operators() -> tuple[str, ...]:
    """Activations whose promised operators are all those of the catalogue: exporting each takes 0.2 s."""
    missing = {operator for kind in ACTIVATIONS.values() for operator in kind.onnx_ops}
    chosen = []
    while missing:
        name = max(ACTIVATIONS, key=lambda name: len(missing & set(ACTIVATIONS[name].onnx_ops)))
        chosen.append(name)
        missing -= set(ACTIVATIONS[name].onnx_ops)
    return tuple(chosen)


@model_factory
def classifier(kind: str = "PELU", per_channel: bool = False, seed: int = 0) -> nn.Sequential:
    """Convolutions, a normalisation, pools and two linear layers around the named activation."""
    torch.manual_seed(seed)

    def act(channels: int) -> nn.Module:
        return make_activation(kind, channels if per_channel else None, seed)

    norm = nn.BatchNorm2d(8)
    model = nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), norm, act(8), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 8, 3, padding=1), act(8), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        *(nn.Linear(8, 16), act(16), nn.Linear(16, 4)),
    )
    with torch.no_grad():
        for values in norm.state_dict().values():
            if values.is_floating_point():
                values.add_(torch.rand(values.shape) * 0.3)
    return model.eval()


class SharedActivation(nn.Module):
    """One activation that stands at two places, under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.act = make_activation("PELU")
        self.second = nn.Linear(4, 4)
        self.again = self.act

    def forward(self, x: Tensor) -> Tensor:
        """[N, 4] -> [N, 4]."""
        result: Tensor = self.again(self.second(self.act(self.first(x))))
        return result


def save_checkpoint(path: Path, kind: str = "PELU") -> Path:
    """A checkpoint of the classifier at `path`."""
    save(
        classifier(kind),
        path,
        factory="tests.convert.models:classifier",
        factory_kwargs={"kind": kind},
        inputs=[{"name": "image", "dtype": "float32", "shape": [None, 3, 8, 8]}],
        outputs=["logits"],
        classes=["a", "b", "c", "d"],
    )
    return path


def save_graph(path: Path, kind: str = "PELU") -> Path:
    """The classifier's graph at `path`, as torch writes it: a source whose conversion needs no export."""
    path.write_bytes(serialise(export_model(classifier(kind), outputs=["logits"])))
    return path


class SideBySide(nn.Module):
    """Several models of one input, side by side."""

    def __init__(self, *members: nn.Module) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """What each member makes of x."""
        return tuple(member(x) for member in self.members)


def export_model(model: nn.Module, inputs: InputSpec = IMAGES, outputs: Sequence[str] = ("y",)) -> ir.Model:
    """The graph that the first three stages make."""
    return export(fold(model), [inputs], outputs).model


def compare_model(
    model: nn.Module, graph: ir.Model, inputs: InputSpec = IMAGES, outputs: Sequence[str] = ("y",)
) -> list[Comparison]:
    """Every comparison that the parity of a graph rests on."""
    original = Original(model, outputs)
    session = Session(serialise(graph), [inputs.name])
    runs = [run_set(original, session, samples) for samples in generate_samples([inputs])]
    usual = measure_scales(runs)
    return [compare(run, output, usual[output]) for run in runs for output in outputs]


def optimise_model(model: nn.Module, inputs: InputSpec = IMAGES) -> OptimisedGraph:
    """What the first four stages make."""
    return optimise(export_model(model, inputs))


def scale_one_weight(graph: ir.Model, name: str, factor: float) -> ir.Model:
    """A copy of the graph whose median weight of the named initialiser is off by `factor`."""
    wrong = graph.clone()
    value = wrong.graph.initializers[name]
    if value.const_value is None:
        raise ValueError(f"`{name}` holds no numbers")
    numbers = value.const_value.numpy().copy()
    order = abs(numbers).reshape(-1).argsort()
    numbers.reshape(-1)[order[len(order) // 2]] *= factor
    value.const_value = ir.tensor(numbers, name=name)
    return wrong
