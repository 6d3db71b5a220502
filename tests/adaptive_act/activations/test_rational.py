"""Where PAU starts, and that it stays finite."""

import math

import numpy as np
import pytest
import torch

from adaptive_act import PAU
from adaptive_act.activations.rational import REACH
from adaptive_act.plain import PLAIN


@pytest.mark.parametrize("base", PLAIN)
def test_pau_starts_near_its_base(base: str) -> None:
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


def test_paus_declared_start_is_its_fit() -> None:
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
