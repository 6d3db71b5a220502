"""What equals a plain activation becomes one again; what does not stays, and is named with its distance."""

import copy
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from adaptive_act import (
    ACTIVATIONS,
    NEAAF,
    Activation,
    Affine,
    FixedPointError,
    Learned,
    PReLU,
    ScaledGELU,
    Swish,
    load,
    named_activations,
    parameter_groups,
    save,
    swap,
)
from adaptive_act.swapping.undo import freeze, unfreeze, unswap
from tests.adaptive_act import models

IMAGE = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
VECTOR = torch.randn(16, 4, generator=torch.Generator().manual_seed(1))
WANTED: dict[type[nn.Module], Any] = {nn.ReLU: PReLU, nn.LeakyReLU: PReLU, nn.ELU: NEAAF, nn.SiLU: Swish}


def _move(model: nn.Module, layer: str, by: float | Tensor) -> None:
    for parameter in named_activations(model)[layer].parameters():
        parameter.data += by


@pytest.mark.parametrize(
    ("kind", "x"),
    [
        (models.Modules, IMAGE),
        (models.Reused, VECTOR),
        (models.Nested, VECTOR),
        (models.Methods, VECTOR),
        (models.Holding, VECTOR),
    ],
)
def test_an_untrained_swap_is_undone_bit_for_bit(kind: type[nn.Module], x: Tensor) -> None:
    model = kind().eval()
    swapped = swap(model, {**WANTED, nn.ELU: Affine, nn.GELU: ScaledGELU}).model
    done = unswap(swapped)
    assert done.changed
    assert not done.kept
    assert not any(isinstance(module, Activation) for module in done.model.modules())
    assert torch.equal(done.model(x), model(x))
    assert named_activations(swapped), "the given model is not changed"


def test_what_has_moved_stays_with_its_distance() -> None:
    swapped = swap(models.Modules(), WANTED).model
    _move(swapped, "features.1", 0.1)
    done = unswap(swapped)
    assert [entry.layer for entry in done.changed] == ["features.3", "head.2"]
    (kept,) = done.kept
    assert (kept.layer, kept.activation, kept.plain) == ("features.1", "PReLU", "ReLU()")
    assert kept.distance == pytest.approx(3.0)  # the slope times the thirty that the inputs reach
    assert "features.1: PReLU is 3 away from ReLU(), and stays" in str(done)
    assert "2 plain again, 1 still adaptive" in str(done)


def test_a_tolerance_lets_what_is_near_go_back() -> None:
    swapped = swap(models.Modules(), WANTED, where="features.1").model
    _move(swapped, "features.1", 0.001)
    assert not unswap(swapped, tolerance=0.02).changed
    assert len(unswap(swapped, tolerance=0.04).changed) == 1


def test_one_channel_that_moved_keeps_the_activation() -> None:
    swapped = swap(models.Modules(), WANTED, per_channel=True, example=IMAGE).model
    _move(swapped, "features.1", torch.tensor([0.0, 0.0, 0.0, 0.5, 0.0, 0.0]))
    assert [entry.layer for entry in unswap(swapped).kept] == ["features.1"]


def test_unswap_restores_only_what_was_replaced(tmp_path: Path) -> None:
    """A shared slope is always some LeakyReLU, but the factory of the checkpoint builds ReLU."""
    swapped = swap(models.Modules(), {nn.ReLU: PReLU}).model
    _move(swapped, "features.1", 0.3)
    plainer = unswap(swapped).model.eval()
    spec = [{"name": "image", "dtype": "float32", "shape": [None, 3, 8, 8]}]
    save(plainer, tmp_path / "model.pt", factory=models.build_modules, inputs=spec)
    assert torch.equal(load(tmp_path / "model.pt").model(IMAGE), plainer(IMAGE))


def test_a_torch_prelu_comes_back_with_what_was_learned() -> None:
    model = nn.Sequential(nn.Conv2d(3, 5, 1), nn.PReLU(5), nn.PReLU())
    swapped = swap(model, {nn.PReLU: PReLU}).model
    _move(swapped, "1", torch.rand(5))
    _move(swapped, "2", 0.3)
    back = unswap(swapped).model
    assert back.state_dict().keys() == model.state_dict().keys()
    torch.testing.assert_close(back(IMAGE), swapped(IMAGE))


def test_one_built_by_hand_becomes_the_nearest_plain_one() -> None:
    model = nn.Sequential(PReLU(a=0.0), PReLU(a=0.3), PReLU(a=1.0), Affine(base="Softplus"), Swish(beta=3.0))
    done = unswap(model)
    assert [entry.plain for entry in done.changed][::2] == ["ReLU()", "Identity()"]
    assert isinstance(done.model[1], nn.LeakyReLU)  # type: ignore[index]  # it is a Sequential
    assert [entry.layer for entry in done.kept] == ["4"]


@pytest.mark.parametrize("kind", ACTIVATIONS.values(), ids=lambda kind: kind.__name__)
def test_unswap_finds_every_fixed_point(kind: type[Activation]) -> None:
    for plain in kind.fixed_points:
        try:
            activation = kind.at_fixed_point(plain(), channels=3)
        except FixedPointError:
            continue  # at other arguments of the plain one than torch's default
        (entry,) = unswap(nn.Sequential(activation)).changed
        assert entry.distance <= 1e-6


def test_input_dependent_activations_are_compared_on_maps() -> None:
    class Lifted(Activation):
        learned: ClassVar[dict[str, Learned]] = {}
        fixed_points: ClassVar[dict[type[nn.Module], dict[str, float | str]]] = {nn.ReLU: {}}
        elementwise = False

        def formula(self, x: Tensor) -> Tensor:
            return torch.relu(x + x.mean(dim=(2, 3), keepdim=True))

    assert unswap(nn.Sequential(Lifted(channels=3))).kept


def test_a_shared_block_goes_back_under_all_its_names() -> None:
    swapped = swap(models.Nested(), {**WANTED, nn.ELU: Affine}).model
    back = unswap(swapped).model
    assert back.again is back.block
    assert not named_activations(back)


def test_freeze_keeps_values_while_the_rest_learns() -> None:
    swapped = swap(models.Modules(), WANTED).model
    assert freeze(swapped, "features.*") == ("features.1", "features.3")
    before = copy.deepcopy(swapped.state_dict())
    optimiser = torch.optim.AdamW(parameter_groups(swapped, lr=0.1, weight_decay=0.1))
    swapped(IMAGE).square().sum().backward()
    optimiser.step()
    after = swapped.state_dict()
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert {"features.0.weight", "head.2.beta"} <= moved
    assert not any(name.startswith(("features.1.", "features.3.")) for name in moved)


def test_unfrozen_they_learn_again() -> None:
    swapped = swap(models.Modules(), WANTED).model
    freeze(swapped)
    assert not any(p.requires_grad for a in named_activations(swapped).values() for p in a.parameters())
    assert unfreeze(swapped, ["head.*", "features.1"]) == ("features.1", "head.2")
    learning = [
        layer
        for layer, a in named_activations(swapped).items()
        if all(p.requires_grad for p in a.parameters())
    ]
    assert learning == ["features.1", "head.2"]
