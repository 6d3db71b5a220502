"""Forwards that have no graph are changed in their source, and stay what they were otherwise."""

import copy
import inspect
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from adaptive_act import MPELU, PReLU, ScaledGELU, SwapError, load, named_activations, save, swap
from adaptive_act.swapping.rewrite import rewrite_methods
from tests.adaptive_act import models

VECTOR = torch.randn(16, 4, generator=torch.Generator().manual_seed(1))
MASK = (torch.arange(64).reshape(16, 4) % 3 > 0).float()
WANTED = {nn.ReLU: PReLU, nn.ELU: MPELU, nn.LeakyReLU: PReLU}


def seeded(kind: type[nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return kind().eval()


@pytest.mark.parametrize(
    ("kind", "layers"),
    [
        (models.Methods, ["elu", "leaky_relu", "relu", "relu_1"]),
        (models.Masked, ["relu"]),
        (models.Branching, ["act", "relu"]),
        (models.Inheriting, ["elu", "relu", "relu_1"]),
    ],
)
def test_calls_in_forward_and_methods_are_swapped(kind: type[nn.Module], layers: list[str]) -> None:
    swapped = swap(seeded(kind), WANTED, example=VECTOR).model
    assert sorted(named_activations(swapped)) == layers


@pytest.mark.parametrize("x", [VECTOR, -VECTOR.abs(), VECTOR.abs()])
def test_both_sides_of_a_branch_stay(x: Tensor) -> None:
    masked, branching = seeded(models.Methods), seeded(models.Branching)
    swapped = swap(masked, WANTED).model
    assert torch.equal(swapped(x), masked(x))
    assert torch.equal(swapped(x, MASK), masked(x, MASK))
    assert torch.equal(swapped(x, mask=MASK, shift=-0.5), masked(x, mask=MASK, shift=-0.5))
    assert torch.equal(swap(branching, WANTED).model(x), branching(x))


def test_a_call_through_super_reaches_the_base_class() -> None:
    model = seeded(models.Inheriting)
    done = swap(model, WANTED)
    assert torch.equal(done.model(VECTOR, MASK), model(VECTOR, MASK))
    assert {entry.what for entry in done.report.skipped} == {
        "`F.leaky_relu`",
        "`self.features(x).sub(shift).relu`",
    }
    assert all("it stands in `Methods.forward`" in entry.reason for entry in done.report.skipped)


def test_each_call_that_stays_has_its_reason() -> None:
    model = seeded(models.Awkward)
    done = swap(model, WANTED, example=VECTOR)
    assert list(named_activations(done.model)) == ["relu"]
    reasons = {entry.what: entry.reason for entry in done.report.skipped}
    assert "works in place on a value that may be used again" in reasons["`torch.relu_`"]
    assert "arguments are computed while the model runs" in reasons["`F.leaky_relu`"]
    assert "names that Python mangles" in reasons["`F.relu`"]


def test_rewriting_keeps_the_signature() -> None:
    model = seeded(models.Methods)
    forward = swap(model, WANTED).model.forward
    assert inspect.signature(forward) == inspect.signature(model.forward)
    assert "self.leaky_relu(self.linear(x))" in inspect.getsource(forward)


def test_each_call_learns_and_can_be_copied() -> None:
    swapped = copy.deepcopy(swap(seeded(models.Methods), WANTED).model)
    swapped(VECTOR).square().sum().backward()
    assert all(p.grad is not None for a in named_activations(swapped).values() for p in a.parameters())


@pytest.mark.parametrize("kind", [models.Methods, models.Masked, models.Dropping, models.Holding])
def test_it_comes_back_from_a_checkpoint(kind: type[nn.Module], tmp_path: Path) -> None:
    swapped = swap(seeded(kind), {**WANTED, nn.GELU: ScaledGELU}, example=VECTOR).model
    for activation in named_activations(swapped).values():
        for parameter in activation.parameters():
            parameter.data += 0.1
    spec = [{"name": "x", "dtype": "float32", "shape": [None, 4]}]
    save(swapped, tmp_path / "model.pt", factory=kind, inputs=spec)
    assert torch.equal(load(tmp_path / "model.pt").model(VECTOR), swapped(VECTOR))


@pytest.mark.parametrize(
    ("place", "name", "replaced", "message"),
    [
        ("forward:1", "x);print(1", "LeakyReLU(negative_slope=0.3)", "expected an identifier"),
        ("forward:99", "act", "ReLU()", "not the code that was swapped"),
        ("forward:1", "act", "Tanh()", "not the code that was swapped"),
        ("__init__:0", "act", "ReLU()", "not the code that was swapped"),
    ],
)
def test_a_place_that_is_not_there_is_refused(place: str, name: str, replaced: str, message: str) -> None:
    model = models.Methods()
    with pytest.raises(SwapError, match=message):
        rewrite_methods(model, {place: (name, replaced)})
    assert type(model) is models.Methods
