import pytest
import torch
from torch import Tensor

from adaptive_act.kernels import clip

POINTS = [-1e4, -2.0, -1.0, -0.999, 0.0, 0.5, 1.999, 2.0, 3.0, 1e4, 7.0, -7.0]
SHAPES = [(), (3, 1)]


def results(x: Tensor, low: Tensor, high: Tensor, *, plain: bool) -> list[Tensor]:
    """The value, and the gradients of x and the bounds for an uneven gradient of the value."""
    arguments = [argument.clone().requires_grad_() for argument in (x, low, high)]
    y = arguments[0].clamp(*arguments[1:]) if plain else clip(*arguments)
    weights = torch.linspace(0.5, 2, x.numel(), dtype=x.dtype).reshape(x.shape)
    return [y.detach(), *torch.autograd.grad(y, arguments, weights)]


def bounds(shape: tuple[int, ...], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    return torch.full(shape, -1.0, dtype=dtype), torch.full(shape, 2.0, dtype=dtype)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_value_and_gradients_are_those_of_clamp(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    x = torch.tensor(POINTS, dtype=dtype).reshape(2, 3, 2)
    low, high = bounds(shape, dtype)
    actual, expected = results(x, low, high, plain=False), results(x, low, high, plain=True)
    assert torch.equal(actual[0], expected[0])
    torch.testing.assert_close(actual[1:], expected[1:])


@pytest.mark.parametrize("shape", SHAPES)
def test_it_can_be_differentiated_twice(shape: tuple[int, ...]) -> None:
    x = torch.linspace(-2.3, 3.1, 12, dtype=torch.float64).reshape(2, 3, 2).requires_grad_()
    low, high = (bound.requires_grad_() for bound in bounds(shape, torch.float64))
    assert torch.autograd.gradcheck(clip, (x, low, high))
    assert torch.autograd.gradgradcheck(lambda *given: clip(*given).square(), (x, low, high))


def test_a_bound_that_needs_no_gradient_gets_none() -> None:
    x, low = torch.tensor([-3.0, 0.0, 3.0], requires_grad=True), torch.tensor(-1.0)
    high = torch.tensor(2.0, requires_grad=True)
    torch.autograd.backward(clip(x, low, high).sum())
    assert low.grad is None
    assert high.grad == 1


def test_a_transformed_or_compiled_function_gets_the_same() -> None:
    x, (low, high) = torch.linspace(-3, 3, 12), bounds((), torch.float32)
    expected = results(x, low, high, plain=True)[2]
    taken = torch.func.grad(lambda low: (clip(x, low, high) * torch.linspace(0.5, 2, 12)).sum())(low)
    torch.testing.assert_close(taken, expected)
    compiled = torch.compile(clip, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(x, low, high), clip(x, low, high))
