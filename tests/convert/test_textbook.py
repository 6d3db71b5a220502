"""Activations as papers and blogs write them, through both exporters of torch: one form comes of each."""

import contextlib
import io
import math
import warnings
from collections.abc import Callable, Mapping

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.onnx.errors import OnnxExporterError

from adaptive_act import ACTIVATIONS
from convert.artefact.file import serialise
from convert.model_io.runtime import Session
from convert.rewriting.optimise import optimise
from convert.sources.constants import fold_constants
from convert.sources.export import export
from convert.sources.fold import fold
from tests.convert.graphs import make_samples
from tests.convert.models import IMAGES, compare_model, make_activation

SLOPES = torch.tensor([0.3, 0.2, 0.75, 0.5, -0.125, 0.25, 1.25, 0.4]).reshape(8, 1, 1)
EXP = ["Add", "Clip", "Exp", "Relu"]
SOFTPLUS = ["Abs", "Add", "Log", "Relu", "Sigmoid"]
MISH = ["BatchNormalization", "Div", "Mul", "Mul", "Sigmoid", "Sub"]
PRELU = ["Add", "Mul", "Relu"]
FORMS: dict[str, tuple[Callable[[Tensor], Tensor], list[str]]] = {
    "leaky where": (lambda x: torch.where(x > 0, x, 0.3 * x), ["LeakyRelu"]),
    "leaky where below": (lambda x: torch.where(x < 0, 0.3 * x, x), ["LeakyRelu"]),
    "leaky clamps": (lambda x: x.clamp(min=0) + 0.3 * x.clamp(max=0), ["LeakyRelu"]),
    "leaky zeros_like": (
        lambda x: torch.maximum(x, torch.zeros_like(x)) + 0.3 * torch.minimum(x, torch.zeros_like(x)),
        ["LeakyRelu"],
    ),
    "leaky mirrored": (lambda x: F.relu(x) - 0.3 * F.relu(-x), ["LeakyRelu"]),
    "leaky maximum": (lambda x: torch.max(x, 0.3 * x), ["LeakyRelu"]),
    "prelu where": (lambda x: torch.where(x >= 0, x, SLOPES * x), PRELU),
    "prelu abs": (lambda x: F.relu(x) + SLOPES * (x - x.abs()) * 0.5, PRELU),
    "relu mask": (lambda x: x * (x > 0), ["Relu"]),
    "relu6 of relu": (lambda x: F.relu(x).clamp(max=6), ["Clip"]),
    "pelu where": (lambda x: torch.where(x >= 0, (1.5 / 0.5) * x, 1.5 * (torch.exp(x / 0.5) - 1)), EXP),
    "pelu sum": (lambda x: 3 * F.relu(x) + 1.5 * (torch.exp(x.clamp(max=0) / 0.5) - 1), EXP),
    "pelu mirrored": (lambda x: 3 * F.relu(x) + 1.5 * (torch.exp(-F.relu(-x) / 0.5) - 1), EXP),
    "celu": (lambda x: F.celu(x, 0.75), EXP),
    "softplus log": (lambda x: torch.log(1 + torch.exp(x)), SOFTPLUS),
    "softplus where": (lambda x: torch.where(x > 20, x, torch.log1p(torch.exp(x))), SOFTPLUS),
    "softplus beta": (lambda x: torch.log(1 + torch.exp(2 * x)) / 2, SOFTPLUS),
    "silu": (lambda x: x * torch.sigmoid(x), ["Mul", "Sigmoid"]),
    "silu exp": (lambda x: x / (1 + torch.exp(-x)), ["Mul", "Sigmoid"]),
    "swish exp": (lambda x: x / (1 + torch.exp(-1.5 * x)), ["Mul", "Sigmoid"]),
    "sigmoid exp": (lambda x: 1 / (1 + torch.exp(-x)), ["Sigmoid"]),
    "mish": (lambda x: x * torch.tanh(F.softplus(x)), MISH),
    "mish log": (lambda x: x * torch.tanh(torch.log(1 + torch.exp(x))), MISH),
    "gelu": (lambda x: 0.5 * x * (1 + torch.erf(x / math.sqrt(2))), ["Gelu"]),
    "gelu constant": (lambda x: x * 0.5 * (1.0 + torch.erf(x * 0.7071067811865476)), ["Gelu"]),
    "cube": (lambda x: torch.pow(x, 3), ["Mul", "Mul"]),
    "snake": (lambda x: x + (1 / SLOPES) * torch.pow(torch.sin(SLOPES * x), 2), ["Add", "Mul", "Sin"]),
}


class Computes(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """function(x)."""
        return self.function(x)


class SideBySideTextbook(nn.Module):
    """Every activation between two convolutions of its own, side by side: one export for all of them."""

    def __init__(self, members: Mapping[str, nn.Module]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.before = nn.ModuleList(nn.Conv2d(3, 8, 3, padding=1) for _ in members)
        self.members = nn.ModuleList(members.values())
        self.after = nn.ModuleList(nn.Conv2d(8, 4, 3, padding=1) for _ in members)
        self.names = tuple(members)
        self.eval()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """One image each."""
        layers = zip(self.before, self.members, self.after, strict=True)
        return tuple(after(member(before(x))) for before, member, after in layers)


def export_newer(model: SideBySideTextbook) -> ir.Model:
    """The graph that torch's exporter writes."""
    return export(fold(model), [IMAGES], model.names).model


def export_legacy(model: SideBySideTextbook) -> ir.Model:
    """The graph that its older exporter writes, as it is read from a file."""
    file = io.BytesIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            fold(model),
            (torch.randn(2, 3, 8, 8),),
            file,  # type: ignore[arg-type]  # it takes a stream, its annotation does not
            dynamo=False,
            input_names=["image"],
            output_names=list(model.names),
            dynamic_axes={"image": {0: "N"}},
            opset_version=20,
        )
    proto = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(file.getvalue()))
    return fold_constants(ir.from_proto(proto))


def list_inner_operators(graph: ir.Model) -> dict[str, list[str]]:
    """The operators between the convolutions before each output, by its name and in the order of theirs."""
    found = {}
    for output in graph.graph.outputs:
        nodes: dict[ir.Node, None] = {}
        pending = [output]
        while pending:
            node = pending.pop().producer()
            if node is not None and node not in nodes:
                nodes[node] = None
                pending += [value for value in node.inputs if value is not None]
        found[output.name or ""] = sorted(node.op_type for node in nodes if node.op_type != "Conv")
    return found


def measure_differences(graph: ir.Model, model: SideBySideTextbook) -> dict[str, float]:
    """How far each output is from the model's, as a share of the largest number."""
    x = make_samples((3, 3, 8, 8)).clip(-10, 10)
    with torch.no_grad():
        expected = dict(zip(model.names, model(torch.from_numpy(x)), strict=True))
    got = Session(serialise(graph), ["image"]).run([x])
    return {
        name: float(np.abs(got[name] - value.numpy()).max() / value.abs().max())
        for name, value in expected.items()
    }


Optimised = tuple[dict[str, list[str]], dict[str, float]]


def _optimise(write: Callable[[SideBySideTextbook], ir.Model], model: SideBySideTextbook) -> Optimised:
    return _examine(optimise(write(model)).model, model)


def _examine(graph: ir.Model, model: SideBySideTextbook) -> Optimised:
    return list_inner_operators(graph), measure_differences(graph, model)


@pytest.fixture(scope="module", params=[export_newer, export_legacy])
def forms(request: pytest.FixtureRequest) -> Optimised:
    members = {name: Computes(function) for name, (function, _) in FORMS.items()}
    return _optimise(request.param, SideBySideTextbook(members))


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMS)
def test_textbook_code_reaches_the_cheapest_form(name: str, forms: Optimised) -> None:
    operators, far = forms
    assert operators[name] == FORMS[name][1]
    assert far[name] <= 1e-5


# What the older exporter has no operator for, and what it writes in a way that no rule sees through yet.
UNWRITTEN = ("BLU", "MPELU", "PWLU", "SquarePlus")
OTHERWISE = ("DYReLU", "MetaACON")
WRITTEN = [name for name in ACTIVATIONS if name not in UNWRITTEN]


@pytest.fixture(scope="module")
def written() -> SideBySideTextbook:
    return SideBySideTextbook({name: make_activation(name, 8) for name in WRITTEN})


@pytest.fixture(scope="module")
def newer(written: SideBySideTextbook) -> ir.Model:
    return optimise(export_newer(written)).model


@pytest.fixture(scope="module")
def both(written: SideBySideTextbook, newer: ir.Model) -> tuple[Optimised, Optimised]:
    return _examine(newer, written), _optimise(export_legacy, written)


@pytest.mark.slow
def test_each_activation_per_channel_passes_parity(written: SideBySideTextbook, newer: ir.Model) -> None:
    comparisons = compare_model(written, newer, outputs=WRITTEN)
    assert {comparison.output for comparison in comparisons} == set(WRITTEN)
    assert [comparison.output for comparison in comparisons if not comparison.passed] == []


@pytest.mark.slow
def test_the_older_exporter_reaches_the_same_operators(both: tuple[Optimised, Optimised]) -> None:
    """A test for each would be shared out to processes that export them all again."""
    (operators, far), (older, older_far) = both
    assert {name: far[name] for name in WRITTEN if not max(far[name], older_far[name]) <= 1e-5} == {}
    different = {name: older[name] for name in WRITTEN if older[name] != operators[name]}
    assert different.keys() == set(OTHERWISE)


@pytest.mark.parametrize("name", UNWRITTEN)
def test_the_older_exporter_names_what_it_lacks(name: str) -> None:
    with pytest.raises(OnnxExporterError):
        export_legacy(SideBySideTextbook({name: make_activation(name, 8)}))
