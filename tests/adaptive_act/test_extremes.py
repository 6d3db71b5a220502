"""Huge, infinite and undefined inputs: an activation at its fixed point gives what the plain one gives."""

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from adaptive_act import ACTIVATIONS, AHAF, NEAAF, Activation, APTx, PReLU, QuickGELU, StarReLU
from adaptive_act.kernels import limit, times

DTYPES = (torch.float32, torch.float16)
CHANNELS = 2
POINTS = {
    torch.float32: (2.5, 1e13, 1e20, 1e30, torch.finfo(torch.float32).max, math.inf),
    torch.float16: (2.5, 300.0, 3e4, torch.finfo(torch.float16).max, math.inf),
}
FIXED_POINTS = [(kind, plain) for kind in ACTIVATIONS.values() for plain in kind.fixed_points]
SCALED = ((AHAF, QuickGELU), (APTx, nn.Identity))
"""Those that multiply x, or its gradient, by more than 1 before they undo it."""

every_fixed_point = pytest.mark.parametrize(("kind", "plain"), FIXED_POINTS, ids=lambda kind: kind.__name__)


def make_pair(
    kind: type[Activation], plain: type[nn.Module], channels: int | None
) -> tuple[Activation, nn.Module]:
    stands = nn.PReLU(channels or 1) if plain is nn.PReLU else plain()
    return kind.at_fixed_point(stands, channels).eval(), stands


def run_at(module: nn.Module, points: Sequence[float], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The values and the gradients at the points, and at their negatives, each in an input of its own."""
    found = []
    for point in (sign * point for point in points for sign in (1.0, -1.0)):
        shape = (1, CHANNELS, 3, 3)
        x = torch.full(shape, point, dtype=dtype, requires_grad=True)
        y = module.to(dtype)(x)
        found.append((y.detach(), *torch.autograd.grad(y.sum(), x)))
    values, slopes = zip(*found, strict=True)
    return torch.stack(values).double(), torch.stack(slopes).double()


def choose_points(kind: type[Activation], plain: type[nn.Module], dtype: torch.dtype) -> Sequence[float]:
    """Without infinities where x also goes through a network, and without what it cannot be scaled by."""
    largest = torch.finfo(dtype).max
    if not kind.elementwise:
        return [point for point in POINTS[dtype] if point < largest / 1e3]
    is_scaled = (kind, plain) in SCALED or plain is nn.Hardswish  # torch's own divides by 6 at last
    return [point for point in POINTS[dtype] if point != largest or not is_scaled]


@every_fixed_point
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("channels", [None, CHANNELS])
def test_it_is_the_plain_activation_at_the_ends_of_the_numbers(
    kind: type[Activation], plain: type[nn.Module], dtype: torch.dtype, channels: int | None
) -> None:
    """Wherever torch's own value or gradient is a number: its gates are none at -∞."""
    activation, stands = make_pair(kind, plain, channels or (None if kind.elementwise else CHANNELS))
    points = choose_points(kind, plain, dtype)
    value, slope = run_at(activation, points, dtype)
    expected, expected_slope = run_at(stands, points, dtype)
    tolerance = 4 * torch.finfo(dtype).eps
    is_number = ~expected.isnan()
    torch.testing.assert_close(value[is_number], expected[is_number], rtol=tolerance, atol=tolerance)
    is_number = expected_slope.isfinite()
    assert slope[is_number].isfinite().all()
    is_number[2 * sum(map(math.isfinite, points)) :] = False  # a corner at ±∞ may be either side's
    torch.testing.assert_close(slope[is_number], expected_slope[is_number], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", [kind for kind in ACTIVATIONS.values() if kind.elementwise])
@pytest.mark.parametrize("channels", [None, CHANNELS])
def test_what_is_no_number_stays_so_in_its_place(kind: type[Activation], channels: int | None) -> None:
    activation = kind(channels)
    x = torch.tensor([[math.nan, 1.0], [0.5, math.nan]], requires_grad=True)
    y = activation(x)
    assert torch.equal(y.isnan(), x.isnan())
    plain = activation(torch.nan_to_num(x.detach(), nan=0.3))
    assert torch.equal(y[~x.isnan()], plain[~x.isnan()])


@pytest.mark.parametrize(("base", "side"), [("ReLU", "both"), ("ELU", "positive"), ("SiLU", "both")])
@pytest.mark.parametrize("channels", [None, CHANNELS])
def test_a_small_cubic_is_right_where_the_cube_overflows(base: str, side: str, channels: int | None) -> None:
    """β · 0.1 · x³ is 1e35 at 1e20, though x³ is not a number of float32."""
    activation = NEAAF(channels, base=base, side=side, beta=1e-24)  # type: ignore[arg-type]
    x = torch.full((3, CHANNELS), 1e20, requires_grad=True)
    y = activation(x)
    torch.testing.assert_close(y, torch.full_like(y, 1e35), rtol=1e-5, atol=0)
    (slope,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(slope, torch.full_like(slope, 3e15), rtol=1e-5, atol=0)


def test_starrelu_reaches_the_largest_half() -> None:
    x = torch.tensor([256.0, 270.0, -1e4], dtype=torch.float16, requires_grad=True)
    y = StarReLU().half()(x)
    exact = StarReLU().half().double()(x.double())
    torch.testing.assert_close(y.double(), exact, rtol=2e-3, atol=0)
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert slope.isfinite().all()


def test_only_a_weight_of_zero_takes_an_infinity_away() -> None:
    u = torch.tensor([[math.inf, -math.inf, 2.0], [math.inf, -math.inf, math.nan]], requires_grad=True)
    weights = torch.tensor([[0.0], [-2.0]])
    expected = torch.tensor([[0.0, 0.0, 0.0], [-math.inf, math.inf, math.nan]])
    torch.testing.assert_close(times(weights, u), expected, equal_nan=True)
    assert limit(u, torch.ones(())) is u


def test_a_slope_of_zero_is_relu_at_minus_infinity() -> None:
    x = torch.tensor([-math.inf, math.inf])
    for activation in (PReLU(a=0.0), PReLU(CHANNELS, a=[0.0, 0.5])):
        assert activation(x[None])[0, 0] == 0
