"""Calibration and limits of SReLU and PWLU."""

import math

import pytest
import torch
from torch import Tensor, nn

from adaptive_act import PWLU, Activation, SReLU


def test_srelu_calibration_leaves_a_tenth_above_tr() -> None:
    activation = SReLU()
    activation.calibrate(torch.arange(1.0, 101.0).reshape(4, 25))
    assert activation.values()["tr"] == 90


@pytest.mark.parametrize("axis", [1, -1])
def test_calibration_sees_each_channel_by_itself(axis: int) -> None:
    activation = SReLU(3, axis)
    x = torch.arange(1.0, 101.0).reshape(10, 10, 1) * torch.tensor([1.0, 2.0, -1.0])
    activation.calibrate(x.movedim(-1, axis))
    assert activation.values()["tr"].tolist() == [90, 180, 0]


def test_srelu_calibration_keeps_the_output() -> None:
    activation = SReLU()
    x = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
    before = activation(x)
    activation.calibrate(x)
    assert activation.values()["tr"] < 2
    torch.testing.assert_close(activation(x), before)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_calibration_works_in_every_precision(dtype: torch.dtype) -> None:
    activation = SReLU().to(dtype)
    activation.calibrate(torch.arange(1, 101, dtype=dtype))
    assert activation.values()["tr"] == 90


def test_thresholds_that_have_crossed_leave_two_lines() -> None:
    activation = SReLU(tl=2.0, al=0.5, tr=1.0, ar=3.0).double()
    x = torch.linspace(-4, 6, 40, dtype=torch.float64, requires_grad=True)
    y = activation(x)
    torch.testing.assert_close(y, torch.where(x > 1, 1 + 3 * (x - 1), 1 + 0.5 * (x - 1)))
    assert torch.autograd.gradcheck(activation, x)


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


@pytest.mark.parametrize("channels", [None, 3])
def test_pwlu_calibration_sets_bounds_around_the_mean(channels: int | None) -> None:
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
def test_pwlu_calibration_keeps_the_curve_at_the_knots(channels: int | None) -> None:
    activation = far_from_relu(channels)
    before = PWLU(channels)
    before.load_state_dict(activation.state_dict())
    activation.calibrate(torch.randn(200, 3, generator=torch.Generator().manual_seed(1)) * 2 + 0.5)
    new = knots(activation).expand(-1, 3)
    assert not torch.allclose(knots(before), knots(activation), atol=0.1)
    torch.testing.assert_close(activation(new), before(new), rtol=1e-5, atol=1e-5)


def test_pwlu_calibration_keeps_relu_outside_the_bounds() -> None:
    activation = PWLU()
    activation.calibrate(torch.randn(500, generator=torch.Generator().manual_seed(2)) + 0.3)
    beyond = torch.tensor([-50.0, -5.0, 5.0, 50.0])
    torch.testing.assert_close(activation(beyond), torch.relu(beyond))


def test_pwlu_calibration_away_from_zero() -> None:
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


def test_pwlu_calibration_follows_axis_and_dtype() -> None:
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
        (torch.zeros(5, 1), "learned 3 channels"),
    ],
)
@pytest.mark.parametrize("kind", [PWLU, SReLU])
def test_an_input_that_cannot_be_calibrated_on_is_refused(
    kind: type[PWLU] | type[SReLU], x: Tensor, message: str
) -> None:
    activation = kind(3)
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
