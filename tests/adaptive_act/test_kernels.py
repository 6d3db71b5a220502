"""The kernels have the value and the gradient of the plain expressions in their docstrings."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from adaptive_act.fused import cubic_right, scaled_cube
from adaptive_act.kernels import (
    clip,
    elu_below,
    hinges,
    negative_part,
    two_lines,
    two_slopes,
)

POINTS = [-1e4, -30.0, -1.0, -1e-8, -0.0, 0.0, 1e-8, 0.3, 1.0, 30.0, 1e4]
KERNELS: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor], tuple[float, ...]]] = {
    "negative_part": (negative_part, lambda x: x.clamp(max=0), ()),
    "two_slopes": (two_slopes, lambda x, a: torch.relu(x) + a * x.clamp(max=0), (-0.3,)),
    "two_lines": (
        two_lines,
        lambda x, above, below: above * torch.relu(x) + below * x.clamp(max=0),
        (1.4, -0.3),
    ),
    "elu_below": (
        elu_below,
        lambda x, depth, rate: torch.relu(x) + depth * torch.expm1(rate * x.clamp(max=0)),
        (0.7, 1.3),
    ),
    "scaled_cube": (scaled_cube, lambda x, scale: scale * x * x * x, (0.7,)),
    "cubic_right": (
        cubic_right,
        lambda x, linear, cubic: linear * torch.relu(x) + cubic * torch.relu(x) ** 3,
        (0.7, -0.2),
    ),
    "hinges": (
        lambda x, slope, *rest: hinges(x, slope, torch.stack(rest[:2]), torch.stack(rest[2:]), 2),
        lambda x, slope, a, b, s, t: slope * x + a * torch.relu(x - s) + b * torch.relu(x - t),
        (0.3, 0.5, -0.6, -1.1, 0.4),
    ),
}
every_kernel = pytest.mark.parametrize(("kernel", "plain", "values"), KERNELS.values(), ids=KERNELS.keys())


def run_kernel(function: Callable[..., Tensor], x: Tensor, values: tuple[float, ...]) -> list[Tensor]:
    """The value, and the gradients of x and the parameters for an uneven gradient of the value."""
    arguments = [x.clone().requires_grad_()]
    arguments += [torch.tensor(v, dtype=x.dtype, requires_grad=True) for v in values]
    y = function(*arguments)
    weights = torch.linspace(0.5, 2, x.numel(), dtype=x.dtype).reshape(x.shape)
    return [y.detach(), *torch.autograd.grad(y, arguments, weights)]


@every_kernel
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_kernels_equal_their_plain_expressions(
    kernel: Callable[..., Tensor],
    plain: Callable[..., Tensor],
    values: tuple[float, ...],
    dtype: torch.dtype,
) -> None:
    is_cubic = kernel in (scaled_cube, cubic_right)
    x = torch.tensor([p for p in POINTS if not is_cubic or abs(p) < 100], dtype=dtype)
    torch.testing.assert_close(run_kernel(kernel, x, values), run_kernel(plain, x, values))


@every_kernel
def test_a_transposed_input_has_the_same_gradient(
    kernel: Callable[..., Tensor], plain: Callable[..., Tensor], values: tuple[float, ...]
) -> None:
    x = torch.randn(5, 7, dtype=torch.float64).T
    torch.testing.assert_close(run_kernel(kernel, x, values), run_kernel(plain, x, values))


@every_kernel
def test_it_can_be_differentiated_twice(
    kernel: Callable[..., Tensor], plain: Callable[..., Tensor], values: tuple[float, ...]
) -> None:
    x = torch.linspace(-2, 2.1, 8, dtype=torch.float64, requires_grad=True)
    parameters = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in values]
    assert torch.autograd.gradgradcheck(lambda x, *p: kernel(x, *p) * x, (x, *parameters))


@every_kernel
def test_many_gradients_are_taken_at_once(
    kernel: Callable[..., Tensor], plain: Callable[..., Tensor], values: tuple[float, ...]
) -> None:
    inputs = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in ([-1.5, -0.1, 0.7], *values)]
    weights = torch.eye(3, dtype=torch.float64)
    many = torch.autograd.grad(kernel(*inputs), inputs, weights, is_grads_batched=True)
    expected = [torch.autograd.grad(plain(*inputs), inputs, row) for row in weights]
    torch.testing.assert_close(many, tuple(torch.stack(rows) for rows in zip(*expected, strict=True)))


@pytest.mark.slow
@every_kernel
@pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")  # of torch, within torch
def test_function_transforms_pass_through_it(
    kernel: Callable[..., Tensor], plain: Callable[..., Tensor], values: tuple[float, ...]
) -> None:
    parameters = [torch.tensor(v, dtype=torch.float64) for v in values]
    x = torch.linspace(-2, 2.1, 8, dtype=torch.float64)
    slopes = torch.func.vmap(torch.func.grad(lambda x: kernel(x, *parameters)))(x)
    expected = torch.func.vmap(torch.func.grad(lambda x: plain(x, *parameters)))(x)
    torch.testing.assert_close(slopes, expected)
    tangent = torch.func.jvp(lambda x: kernel(x, *parameters), (x,), (torch.ones_like(x),))[1]
    torch.testing.assert_close(tangent, expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_negative_part_has_gradient_one_at_zero(dtype: torch.dtype) -> None:
    least = torch.finfo(dtype).smallest_normal
    x = torch.tensor([-least, 0.0, least], dtype=dtype, requires_grad=True)
    torch.autograd.backward(negative_part(x).sum())
    assert x.grad is not None
    assert x.grad.tolist() == [1, 1, 0]


def test_a_shared_slope_saves_only_its_input() -> None:
    x = torch.randn(1000, requires_grad=True)
    slope = torch.tensor(0.2, requires_grad=True)
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        two_slopes(x, slope)
    assert [tensor.numel() for tensor in kept] == [1000, 1]


CLIP_POINTS = [-math.inf, -2.0, -1.0, -0.999, 0.0, 0.5, 1.999, 2.0, 3.0, math.inf, 7.0, -7.0]
CLIP_SHAPES = [(), (3, 1)]


def run_clip(x: Tensor, low: Tensor, high: Tensor, *, plain: bool) -> list[Tensor]:
    """The value, and the gradients of x and the bounds for an uneven gradient of the value."""
    arguments = [argument.clone().requires_grad_() for argument in (x, low, high)]
    y = arguments[0].clamp(*arguments[1:]) if plain else clip(*arguments)
    weights = torch.linspace(0.5, 2, x.numel(), dtype=x.dtype).reshape(x.shape)
    return [y.detach(), *torch.autograd.grad(y, arguments, weights)]


def make_bounds(shape: tuple[int, ...], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    return torch.full(shape, -1.0, dtype=dtype), torch.full(shape, 2.0, dtype=dtype)


@pytest.mark.parametrize("shape", CLIP_SHAPES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_clip_equals_clamp(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    x = torch.tensor(CLIP_POINTS, dtype=dtype).reshape(2, 3, 2)
    low, high = make_bounds(shape, dtype)
    actual, expected = run_clip(x, low, high, plain=False), run_clip(x, low, high, plain=True)
    assert torch.equal(actual[0], expected[0])
    torch.testing.assert_close(actual[1:], expected[1:])


@pytest.mark.parametrize("shape", CLIP_SHAPES)
def test_clip_can_be_differentiated_twice(shape: tuple[int, ...]) -> None:
    x = torch.linspace(-2.3, 3.1, 12, dtype=torch.float64).reshape(2, 3, 2).requires_grad_()
    low, high = (bound.requires_grad_() for bound in make_bounds(shape, torch.float64))
    assert torch.autograd.gradcheck(clip, (x, low, high))
    assert torch.autograd.gradgradcheck(lambda *given: clip(*given).square(), (x, low, high))


def test_a_bound_without_gradient_gets_none() -> None:
    x, low = torch.tensor([-3.0, 0.0, 3.0], requires_grad=True), torch.tensor(-1.0)
    high = torch.tensor(2.0, requires_grad=True)
    torch.autograd.backward(clip(x, low, high).sum())
    assert low.grad is None
    assert high.grad == 1


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:.*should not be instantiated:DeprecationWarning"
)  # of torch, within torch
def test_clip_in_transforms_and_graphs() -> None:
    x, (low, high) = torch.linspace(-3, 3, 12), make_bounds((), torch.float32)
    expected = run_clip(x, low, high, plain=True)[2]
    taken = torch.func.grad(lambda low: (clip(x, low, high) * torch.linspace(0.5, 2, 12)).sum())(low)
    torch.testing.assert_close(taken, expected)
    compiled = torch.compile(clip, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(x, low, high), clip(x, low, high))


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:.*should not be instantiated:DeprecationWarning"
)  # of torch, within torch
@pytest.mark.parametrize("shape", CLIP_SHAPES)
def test_compiled_clip_has_the_same_gradients(shape: tuple[int, ...]) -> None:
    torch.compiler.reset()
    x = torch.tensor(CLIP_POINTS).reshape(2, 3, 2)
    weights = torch.linspace(0.5, 2, 12).reshape(2, 3, 2)
    bounds = [bound.requires_grad_() for bound in make_bounds(shape, torch.float32)]
    inputs = [x.requires_grad_(), *bounds]
    compiled = torch.compile(clip, fullgraph=True, backend="aot_eager")
    actual = torch.autograd.grad(compiled(*inputs), inputs, weights)
    torch.testing.assert_close(actual, torch.autograd.grad(x.clamp(*bounds), inputs, weights))
