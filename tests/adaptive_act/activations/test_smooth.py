import math

import pytest
import torch

from adaptive_act import BLU, Activation, SquarePlus
from adaptive_act.activations.smooth import hypotenuse

# Whose squares are above 65504, the largest number of float16.
FAR = torch.tensor([-1e4, -300.0, 300.0, 1e4], dtype=torch.float16)


@pytest.mark.parametrize("activation", [SquarePlus(), BLU(beta=0.5)], ids=lambda one: type(one).__name__)
def test_half_precision_survives_an_overflowing_square(activation: Activation) -> None:
    half = activation.half()
    x = FAR.clone().requires_grad_()
    y = half(x)
    y.sum().backward()
    exact = activation.double()(FAR.double())
    torch.testing.assert_close(y.double(), exact, rtol=1e-3, atol=0.1)
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_squareplus_reaches_the_largest_number(dtype: torch.dtype) -> None:
    largest = torch.finfo(dtype).max
    x = torch.tensor([largest, -largest], dtype=dtype, requires_grad=True)
    y = SquarePlus().to(dtype)(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert y.tolist() == [largest, 0]
    assert slope.tolist() == [1, 0]


def test_the_exported_hypotenuse_is_the_same() -> None:
    class Hypotenuse(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            """√(x² + 9)."""
            return hypotenuse(x, torch.tensor(3.0))

    x = torch.tensor([-4.0, 0.0, 4.0])
    exported = torch.export.export(Hypotenuse(), (x,)).module()
    assert torch.equal(exported(x), torch.tensor([5.0, 3.0, 5.0]))
    assert math.hypot(4, 3) == hypotenuse(x, torch.tensor(3.0))[0]
