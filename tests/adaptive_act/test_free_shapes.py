"""Where the free shapes start, and how PWLU is placed on its data."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from adaptive_act import PAU, PWLU, Activation, HermitePolynomial
from adaptive_act.activations.rational import REACH
from adaptive_act.plain import PLAIN

KNOTS = torch.arange(7) / 6


def knots(activation: Activation) -> Tensor:
    values = activation.values()
    return values["left"] + (values["right"] - values["left"]) * KNOTS[:, None]


def far_from_relu(channels: int | None = None) -> PWLU:
    activation = PWLU(channels)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in activation.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.5)
    return activation


@pytest.mark.parametrize("base", PLAIN)
def test_pau_starts_near_the_activation_that_it_is_fitted_to(base: str) -> None:
    points = torch.linspace(-REACH, REACH, 501, dtype=torch.float64)
    plain = PLAIN[base].module()(points)
    error = (PAU(base=base).double()(points) - plain).square().mean().sqrt()
    # A polynomial of degree 9 has as many coefficients, and least squares finds its best ones in one step.
    polynomial = np.polynomial.Polynomial.fit(points.numpy(), plain.numpy(), 9)(points.numpy())
    assert error < 0.025
    assert error < 2 * np.sqrt(np.mean((polynomial - plain.numpy()) ** 2)) + 1e-3


def test_pau_is_as_near_as_its_docstring_says() -> None:
    points = torch.linspace(-5, 5, 2001, dtype=torch.float64)
    said = {"LeakyReLU": 0.06, "ReLU": 0.06, "SiLU": 1e-4, "Tanh": 1e-4, "GELU": 4e-3}
    for base, bound in said.items():
        difference = (PAU(base=base).double()(points) - PLAIN[base].module()(points)).abs().max()
        assert bound / 2 < difference < bound


def test_paus_declared_start_is_the_fit_to_its_default_base() -> None:
    fitted = {name: float(value) for name, value in PAU().double().values().items()}
    assert fitted == pytest.approx({name: spec.init for name, spec in PAU.learned.items()}, abs=2e-6)


@pytest.mark.parametrize(
    ("dtype", "size"),
    [
        *((dtype, size) for dtype in (torch.float32, torch.bfloat16) for size in (1e4, 1e8, 1e30, math.inf)),
        *((torch.float16, size) for size in (10.0, 1e4)),
    ],
)
def test_pau_is_finite_however_large_its_input(dtype: torch.dtype, size: float) -> None:
    x = torch.tensor([size, -size]).to(dtype).requires_grad_()
    activation = PAU().to(dtype)
    y = activation(x)
    y.sum().backward()
    for tensor in (y, x.grad, *(parameter.grad for parameter in activation.parameters())):
        assert tensor is not None
        assert tensor.isfinite().all()


def test_hermite_keeps_the_variance_forwards_and_backwards() -> None:
    points, weights = np.polynomial.hermite_e.hermegauss(20)
    z = torch.from_numpy(points).requires_grad_()
    y = HermitePolynomial().double()(z)
    (slope,) = torch.autograd.grad(y.sum(), z)
    normal = torch.from_numpy(weights) / math.sqrt(2 * math.pi)
    assert float((normal * y.detach().square()).sum()) == pytest.approx(1, rel=1e-6)
    assert float((normal * slope.square()).sum()) == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("channels", [None, 3])
def test_calibration_puts_the_bounds_three_deviations_around_the_mean(channels: int | None) -> None:
    x = torch.randn(50, 3, 4, generator=torch.Generator().manual_seed(0)) * 0.7 + torch.tensor(
        [[1.0], [4], [-2]]
    )
    activation = PWLU(channels)
    activation.calibrate(x)
    over = (0, 1, 2) if channels is None else (0, 2)
    mean, deviation = x.mean(over).reshape(-1), x.std(over, correction=0).reshape(-1)
    torch.testing.assert_close(activation.values()["left"], mean - 3 * deviation)
    torch.testing.assert_close(activation.values()["right"], mean + 3 * deviation)


@pytest.mark.parametrize("channels", [None, 3])
def test_calibration_keeps_the_curve_at_the_new_knots(channels: int | None) -> None:
    activation = far_from_relu(channels)
    before = PWLU(channels)
    before.load_state_dict(activation.state_dict())
    activation.calibrate(torch.randn(200, 3, generator=torch.Generator().manual_seed(1)) * 2 + 0.5)
    new = knots(activation).expand(-1, 3)
    assert not torch.allclose(knots(before), knots(activation), atol=0.1)
    torch.testing.assert_close(activation(new), before(new), rtol=1e-5, atol=1e-5)


def test_calibration_around_zero_keeps_relu_outside_the_bounds() -> None:
    activation = PWLU()
    activation.calibrate(torch.randn(500, generator=torch.Generator().manual_seed(2)) + 0.3)
    beyond = torch.tensor([-50.0, -5.0, 5.0, 50.0])
    torch.testing.assert_close(activation(beyond), torch.relu(beyond))


def test_calibration_away_from_zero_continues_the_curve_there() -> None:
    activation = PWLU()
    activation.calibrate(torch.randn(500, generator=torch.Generator().manual_seed(2)) * 0.3 + 5)
    around = torch.tensor([1.0, 4.0, 5.0, 6.0, 9.0])
    torch.testing.assert_close(activation(around), around)


def test_a_channel_that_does_not_vary_keeps_its_bounds() -> None:
    activation = PWLU(2)
    x = torch.stack([torch.full((100,), 0.2), torch.linspace(-1, 1, 100)], dim=1)
    activation.calibrate(x)
    assert activation.values()["left"][0] == -3
    assert activation.values()["left"][1] > -2
    assert torch.equal(activation(x)[:, 0], torch.relu(x)[:, 0])


def test_calibration_follows_the_channel_axis_and_the_dtype() -> None:
    first, last = PWLU(3).bfloat16(), PWLU(3, channel_axis=-1).bfloat16()
    x = torch.randn(20, 3, 5, generator=torch.Generator().manual_seed(3)).bfloat16()
    first.calibrate(x)
    last.calibrate(x.movedim(1, -1))
    assert first.values()["left"].dtype is torch.bfloat16
    assert all(torch.equal(value, last.values()[name]) for name, value in first.values().items())


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.tensor([[1.0, 2.0, math.nan]]), "finite numbers, got 1 others"),
        (torch.empty(0, 3), "finite numbers"),
        (torch.zeros(5, 4), "learned 3 channels"),
    ],
)
def test_an_input_that_cannot_be_calibrated_on_is_refused(x: Tensor, message: str) -> None:
    activation = PWLU(3)
    before = {name: value.clone() for name, value in activation.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        activation.calibrate(x)
    assert all(torch.equal(value, before[name]) for name, value in activation.state_dict().items())


@pytest.mark.parametrize("right", [1.0, 0.5])
def test_bounds_that_meet_leave_value_and_gradient_finite(right: float) -> None:
    activation = PWLU(left=1.0, right=right)
    x = torch.linspace(-3, 3, 13, requires_grad=True)
    y = activation(x)
    y.sum().backward()
    for tensor in (y, x.grad, *(parameter.grad for parameter in activation.parameters())):
        assert tensor is not None
        assert tensor.isfinite().all()


def test_the_bounds_and_heights_learn_from_the_start() -> None:
    activation = PWLU()
    (activation(torch.randn(500, generator=torch.Generator().manual_seed(4))) - 1).square().sum().backward()
    still = [n for n, p in activation.named_parameters() if p.grad is None or not p.grad.abs() > 0]
    assert set(still) <= {"y0", "y6", "slope_left", "slope_right"}  # where hardly any input lies
    assert isinstance(PWLU.at_fixed_point(nn.ReLU()), PWLU)
