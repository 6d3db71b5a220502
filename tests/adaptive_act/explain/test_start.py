"""Where activations started."""

from functools import partial

import pytest
import torch
from torch import nn

from adaptive_act import ACTIVATIONS, NEAAF, PELU, Activation, Affine, PReLU, named_activations, swap
from adaptive_act.errors import ExplainError
from adaptive_act.explain.start import INITIAL, find_start, find_starts
from adaptive_act.swapping.replace import ActivationKind

POINTS = torch.linspace(-3, 3, 31, dtype=torch.float64)
SWAPS: list[tuple[nn.Module, ActivationKind]] = [
    (nn.ReLU(), PReLU),
    (nn.LeakyReLU(0.2), PReLU),
    (nn.LeakyReLU(0.2), partial(NEAAF, side="both")),
    (nn.Softshrink(0.3), Affine),
    (nn.GELU("tanh"), Affine),
    (nn.ELU(inplace=True), PELU),
    (nn.Identity(), PReLU),
]


@pytest.mark.parametrize(("plain", "kind"), SWAPS, ids=lambda value: str(value)[:30])
def test_a_swapped_activation_started_as_what_it_replaced(plain: nn.Module, kind: ActivationKind) -> None:
    model = swap(nn.Sequential(nn.Linear(2, 2), plain), {type(plain): kind}).model
    activation = named_activations(model)["1"]
    with torch.no_grad():
        next(activation.parameters()).add_(0.5)
    start = find_start(activation)
    expected = plain.double()(POINTS.clone())
    torch.testing.assert_close(start.activation.curve(POINTS)[0], expected, rtol=0, atol=1e-6)
    assert start.origin.startswith(f"the fixed point at {type(plain).__name__}(")


@pytest.mark.parametrize("kind", ACTIVATIONS.values(), ids=ACTIVATIONS.keys())
@pytest.mark.parametrize("plain", [nn.ReLU(), nn.GELU(), nn.Hardtanh()], ids=repr)
def test_every_activation_has_a_start_whatever_it_replaced(kind: type[Activation], plain: nn.Module) -> None:
    image = torch.zeros(2, 3, 8, 8)
    network = nn.Sequential(nn.Conv2d(3, 4, 1), plain)
    model = swap(
        network, {type(plain): kind}, preserve=False, per_channel=not kind.elementwise, example=image
    ).model
    start = find_start(named_activations(model)["1"])
    assert (start.origin == INITIAL) == (type(plain) not in kind.fixed_points)


def test_unrecorded_weights_are_not_invented() -> None:
    model = swap(nn.Sequential(nn.PReLU(init=0.4)), {nn.PReLU: PReLU}).model
    start = find_start(named_activations(model)["0"])
    assert start.origin == INITIAL
    assert start.activation.values()["a"].item() == 0.25


def test_without_a_fixed_point_the_start_is_the_initial_values() -> None:
    chosen: dict[type[nn.Module], ActivationKind] = {nn.ReLU: partial(NEAAF, base="ELU")}
    model = swap(nn.Sequential(nn.ReLU()), chosen, preserve=False).model
    start = find_start(named_activations(model)["0"])
    assert start.origin == INITIAL
    torch.testing.assert_close(start.activation.curve(POINTS)[0], nn.functional.elu(POINTS))


@pytest.mark.parametrize("kind", ACTIVATIONS.values())
def test_one_built_by_hand_started_at_its_initial_values(kind: type[PReLU]) -> None:
    torch.manual_seed(3)
    activation = kind(channels=4).half()
    state = torch.get_rng_state()
    start = find_start(activation)
    assert start.origin == INITIAL
    for name, value in start.activation.values().items():
        torch.testing.assert_close(value, activation.values()[name])
        assert value.dtype is torch.float16
    assert torch.equal(torch.get_rng_state(), state)


def test_a_shared_activation_has_all_its_names() -> None:
    shared = PReLU()
    (place,) = find_starts(nn.ModuleDict({"a": shared, "b": nn.Sequential(shared)}))
    assert (place.layer, place.also, place.activation) == ("a", ("b.0",), shared)


def test_a_given_start_is_taken() -> None:
    given = PReLU(a=0.1)
    (place,) = find_starts(nn.Sequential(PReLU(a=0.3)), {"0": given})
    assert place.start.activation is given


def test_a_model_without_activations_is_refused() -> None:
    with pytest.raises(ExplainError, match="`Linear` holds no adaptive activation"):
        find_starts(nn.Linear(2, 2))
