import pytest
import torch

from adaptive_act import SReLU


def test_calibration_leaves_a_tenth_of_the_data_above_the_right_threshold() -> None:
    activation = SReLU()
    activation.calibrate(torch.arange(1.0, 101.0).reshape(4, 25))
    assert activation.values()["tr"] == 90


@pytest.mark.parametrize("axis", [1, -1])
def test_calibration_sees_each_channel_by_itself(axis: int) -> None:
    activation = SReLU(3, axis)
    x = torch.arange(1.0, 101.0).reshape(10, 10, 1) * torch.tensor([1.0, 2.0, -1.0])
    activation.calibrate(x.movedim(-1, axis))
    assert activation.values()["tr"].tolist() == [90, 180, 0]


def test_calibration_keeps_the_output_while_the_right_slope_is_one() -> None:
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
