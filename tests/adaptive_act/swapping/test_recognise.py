"""A stranger's module is what it computes, and never what it is called."""

import functools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adaptive_act import Affine, PReLU, Swish, named_activations, swap
from adaptive_act.plain import PLAIN, QuickGELU
from adaptive_act.swapping.recognise import Recogniser

EVERYTHING = {**{plain.module: None for plain in PLAIN.values()}, nn.Identity: None}


class Computing(nn.Module):
    """Whatever function it is given, under a name that says nothing."""

    def __init__(self, function: object, **attributes: object) -> None:
        super().__init__()
        self.function = function
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)  # type: ignore[no-any-return, operator]  # any callable


def slow_gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.erf(x / 2**0.5))


def slow_gelu_tanh(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(0.7978845608 * x * (1 + 0.044715 * x * x)))


@pytest.mark.parametrize(
    ("stranger", "expected"),
    [
        (Computing(lambda x: x * x.sigmoid()), nn.SiLU()),
        (Computing(lambda x: x * torch.tanh(F.softplus(x))), nn.Mish()),
        (Computing(lambda x: F.relu6(x + 3) / 6), nn.Hardsigmoid()),
        (Computing(slow_gelu), nn.GELU()),
        (Computing(slow_gelu_tanh), nn.GELU("tanh")),
        (Computing(lambda x: x * torch.sigmoid(1.702 * x)), QuickGELU()),
        (
            Computing(functools.partial(F.leaky_relu, negative_slope=0.3), negative_slope=0.3),
            nn.LeakyReLU(0.3),
        ),
        (Computing(lambda x: x), nn.Identity()),
    ],
    ids=repr,
)
def test_it_is_found_by_its_values(stranger: nn.Module, expected: nn.Module) -> None:
    found = Recogniser(EVERYTHING)(stranger)
    assert found is not None
    assert (found[0], repr(found[1])) == (type(expected), repr(expected))


class ReLU(nn.Module):
    """Only by name."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x).square()


class Noisy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x) + torch.rand_like(x) * self.training


class Turned(nn.Module):
    """ReLU on vectors and matrices; on images it also moves the axes."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x) if x.dim() < 4 else torch.relu(x).permute(0, 2, 3, 1)


class Deciding(nn.Module):
    """ReLU on what lies above zero in the mean."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x) if x.mean() > -1 else x


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x) * self.scale


class Gated(nn.Module):
    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        return torch.relu(x) * gate


@pytest.mark.parametrize(
    "kind", [ReLU, Noisy, Turned, Deciding, Scaled, Gated, nn.Dropout, nn.Hardtanh, nn.Flatten]
)
def test_what_computes_more_than_an_activation_is_none(kind: type[nn.Module]) -> None:
    assert Recogniser({nn.ReLU: None, nn.ReLU6: None, nn.Identity: None})(kind()) is None


@pytest.mark.parametrize("highest", [20.0, 60.0, 255.0])
def test_a_clipped_activation_is_another(highest: float) -> None:
    assert Recogniser(EVERYTHING)(Computing(lambda x: x.clamp(0, highest))) is None


def test_a_formula_that_is_written_out_is_known() -> None:
    def mish(x: Tensor) -> Tensor:
        square = (1 + x.exp()) ** 2
        return x * (square - 1) / (square + 1)

    known = Recogniser(EVERYTHING)(Computing(mish))
    assert known is not None
    assert repr(known[1]) == "Mish()"


def test_recognising_draws_no_random_numbers() -> None:
    before = torch.random.get_rng_state()
    Recogniser(EVERYTHING)(Noisy())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_strangers_module_is_swapped_whole() -> None:
    model = nn.Sequential(nn.Linear(4, 4), Computing(lambda x: x * x.sigmoid()))
    x = torch.randn(8, 4)
    done = swap(model, {nn.SiLU: Swish, nn.Sigmoid: Affine}, example=x)
    (site,) = done.report.changed
    assert (site.layer, site.replaced, site.call) == ("1", "SiLU()", None)
    torch.testing.assert_close(done.model(x), model(x))


def test_a_strangers_class_may_be_named_itself() -> None:
    class TheirReLU(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.clamp(min=0)

    done = swap(nn.Sequential(TheirReLU(), nn.ReLU()), {TheirReLU: PReLU})
    assert list(named_activations(done.model)) == ["0"]
    assert done.report.changed[0].replaced == "ReLU()"


def test_a_subclass_that_computes_something_else_is_named() -> None:
    class Doubled(nn.ReLU):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * super().forward(x)

    report = swap(nn.Sequential(Doubled(), nn.ReLU()), {nn.ReLU: PReLU}).report
    (entry,) = report.skipped
    assert entry.layer == "0"
    assert "`Doubled` is a `ReLU` by its class, but not by its values" in entry.reason


def test_a_parametrised_module_stays_its_class() -> None:
    model = Weighted()
    nn.utils.parametrize.register_parametrization(model, "weight", nn.Tanh())
    x = torch.randn(2, 3)
    once = swap(model, {nn.ReLU: PReLU, nn.Tanh: Affine}, where="relu", example=x).model
    assert list(named_activations(once)) == ["relu"]
    twice = swap(once, {nn.SiLU: Swish}, example=x).model
    assert list(named_activations(twice)) == ["relu", "silu"]
    torch.testing.assert_close(twice(x), model(x))


class Weighted(nn.Module):
    """Calls activations, and has a weight of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 3))

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(F.relu(x @ self.weight))


def test_a_forward_that_was_put_on_a_module_is_named() -> None:
    patched = nn.Sequential(nn.ReLU(), Weighted(), nn.Linear(3, 3))
    patched[1].forward = patched[2].forward = F.relu
    done = swap(patched, {nn.ReLU: PReLU})
    x = torch.ones(2, 3)
    assert torch.equal(done.model(x), patched(x))
    assert [site.layer for site in done.report.changed] == ["0"]
    (entry,) = done.report.skipped
    assert entry.layer == "1"
    assert "its `forward` is its own attribute" in entry.reason
