"""The fused functions have the value and the gradients of the expressions in their docstrings."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from adaptive_act.fused import blend, blocks, polynomial, rational

LARGEST = 50.0
POINTS = [-1e3, -30.0, -1.0, -1e-8, -0.0, 0.0, 1e-8, 0.3, 1.0, 30.0, 1e3]
Function = Callable[..., Tensor]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """An x of three elements or more is fused, in several blocks."""
    monkeypatch.setattr(blocks, "BLOCK", 3)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)


def plain_blend(x: Tensor, *w: Tensor) -> Tensor:
    return w[0] * torch.tanh(x) + w[1] * F.elu(x) + w[2] * torch.relu(x) + w[3] * x + w[4] * F.silu(x)


def plain_polynomial(x: Tensor, *coefficients: Tensor) -> Tensor:
    return torch.stack([c * x**k for k, c in enumerate(coefficients)]).sum(0)


def fused_rational(x: Tensor, *coefficients: Tensor) -> Tensor:
    return rational(x, coefficients[:6], coefficients[6:], LARGEST)


def plain_rational(x: Tensor, *coefficients: Tensor) -> Tensor:
    u = x.clamp(-LARGEST, LARGEST)
    below = u * plain_polynomial(u, *coefficients[6:])
    return plain_polynomial(u, *coefficients[:6]) / (1 + below.abs())


FUNCTIONS: dict[str, tuple[Function, Function, list[float]]] = {
    "blend": (blend, plain_blend, [0.3, -0.7, 0.4, 1.1, -0.2]),
    "polynomial": (polynomial, plain_polynomial, [0.5, -1.0, 0.25, 0.125, -0.5]),
    "rational": (fused_rational, plain_rational, [0.1, 0.5, -0.9, 0.7, 0.2, 0.02, 0.3, 1.4, -0.2, 0.04]),
}
every_function = pytest.mark.parametrize(
    ("fused", "plain", "values"), FUNCTIONS.values(), ids=FUNCTIONS.keys()
)


def make_parameters(values: list[float], dtype: torch.dtype = torch.float64) -> list[Tensor]:
    return [torch.tensor(value, dtype=dtype, requires_grad=True) for value in values]


def run(function: Function, x: Tensor, values: list[float]) -> list[Tensor]:
    """The value, and the gradients of x and the parameters for an uneven gradient of the value."""
    inputs = [x.detach().requires_grad_(), *make_parameters(values, x.dtype)]
    y = function(*inputs)
    weights = torch.linspace(0.5, 2, x.numel(), dtype=x.dtype).reshape(x.shape)
    return [y.detach(), *torch.autograd.grad(y, inputs, weights)]


@every_function
@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-12), (torch.float32, 2e-6)])
def test_it_equals_the_plain_expression(
    fused: Function, plain: Function, values: list[float], dtype: torch.dtype, rtol: float
) -> None:
    x = torch.tensor(POINTS, dtype=torch.float64)
    expected = [tensor.to(dtype) for tensor in run(plain, x, values)]
    torch.testing.assert_close(run(fused, x.to(dtype), values), expected, rtol=rtol, atol=rtol)


@every_function
@pytest.mark.parametrize("size", [1, 4, 5, 10, 11])
def test_blocks_of_any_size_give_the_same(
    fused: Function, plain: Function, values: list[float], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK", size)
    x = torch.tensor(POINTS, dtype=torch.float64)
    torch.testing.assert_close(run(fused, x, values), run(plain, x, values))


@every_function
@pytest.mark.parametrize(
    "lay_out",
    [
        lambda x: x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2),
        lambda x: x.transpose(0, 2),
        lambda x: x[:, ::2],
        lambda x: x[:, :1].expand(-1, 5, -1, -1),
        lambda x: x[0, 0, 0, 0],
        lambda x: x[:, :0],
    ],
    ids=["channels last", "transposed", "every second", "expanded", "one number", "empty"],
)
def test_any_layout_gives_the_same(
    fused: Function, plain: Function, values: list[float], lay_out: Callable[[Tensor], Tensor]
) -> None:
    x = lay_out(torch.randn(2, 3, 4, 5, dtype=torch.float64))
    torch.testing.assert_close(run(fused, x, values), run(plain, x, values))


@every_function
def test_channels_last_stay_last(fused: Function, plain: Function, values: list[float]) -> None:
    x = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    value, of_x, *_ = run(fused, x, values)
    assert value.is_contiguous(memory_format=torch.channels_last)
    assert of_x.is_contiguous(memory_format=torch.channels_last)


@every_function
def test_gradients_are_those_of_the_value(fused: Function, plain: Function, values: list[float]) -> None:
    x = torch.linspace(-2, 2.1, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(fused, (x, *make_parameters(values)))


@every_function
def test_it_can_be_differentiated_twice(fused: Function, plain: Function, values: list[float]) -> None:
    x = torch.linspace(-2, 2.1, 4, dtype=torch.float64, requires_grad=True)
    parameters = make_parameters(values)
    assert torch.autograd.gradgradcheck(lambda x, *p: fused(x, *p) * x, (x, *parameters), fast_mode=True)
    parameters[0].requires_grad_(False)
    assert torch.autograd.gradgradcheck(lambda x: fused(x, *parameters) * x, (x,))


@every_function
def test_its_value_may_be_overwritten(fused: Function, plain: Function, values: list[float]) -> None:
    x, parameters = (
        torch.randn(2, 3, 4).transpose(1, 2).requires_grad_(),
        make_parameters(values, torch.float32),
    )
    y = fused(x, *parameters)
    y += x  # as a residual connection does
    expected = torch.autograd.grad((plain(x, *parameters) + x).sum(), [x, *parameters])
    torch.testing.assert_close(torch.autograd.grad(y.sum(), [x, *parameters]), expected)


@every_function
def test_many_gradients_are_taken_at_once(fused: Function, plain: Function, values: list[float]) -> None:
    x, parameters = torch.randn(7, requires_grad=True), make_parameters(values, torch.float32)
    weights = torch.randn(2, 7)
    many = torch.autograd.grad(fused(x, *parameters), [x, *parameters], weights, is_grads_batched=True)
    for row, row_weights in enumerate(weights):
        expected = torch.autograd.grad(plain(x, *parameters), [x, *parameters], row_weights)
        torch.testing.assert_close([of[row] for of in many], list(expected), rtol=1e-4, atol=1e-5)


@every_function
def test_what_needs_no_gradient_gets_none(fused: Function, plain: Function, values: list[float]) -> None:
    x, parameters = torch.randn(7), make_parameters(values, torch.float32)
    torch.autograd.backward(fused(x, *parameters).sum())
    assert x.grad is None
    assert all(parameter.grad is not None for parameter in parameters)


@every_function
def test_nan_stays_where_it_is(fused: Function, plain: Function, values: list[float]) -> None:
    value = fused(torch.tensor([0.5, torch.nan, 0.5]), *make_parameters(values, torch.float32))
    assert value.isnan().tolist() == [False, True, False]


def count_kept(function: Function, x: Tensor, parameters: list[Tensor]) -> list[int]:
    """The sizes of the tensors that one call keeps for the backward pass."""
    sizes = []

    def keep(tensor: Tensor) -> Tensor:
        sizes.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        function(x, *parameters)
    return sizes


@pytest.mark.parametrize(("name", "kept"), [("blend", 3), ("polynomial", 1), ("rational", 1)])
def test_little_is_kept_for_the_backward_pass(name: str, kept: int) -> None:
    fused, _, values = FUNCTIONS[name]
    parameters = make_parameters(values, torch.float32)
    sizes = count_kept(fused, torch.randn(1000, requires_grad=True), parameters)
    assert sorted(sizes) == [1] * len(values) + [1000] * kept


def test_less_than_a_block_is_left_to_torch() -> None:
    parameters = make_parameters(FUNCTIONS["blend"][2], torch.float32)
    kept = [len(count_kept(blend, torch.randn(n, requires_grad=True), parameters)) for n in (2, 3)]
    assert kept[0] > kept[1] == len(parameters) + 3


@every_function
@pytest.mark.parametrize("shape", [(1,), (1, 1, 1), (3, 1, 1)])
def test_parameters_have_gradients_of_their_own_shape(
    fused: Function, plain: Function, values: list[float], shape: tuple[int, ...]
) -> None:
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    parameters = [value.detach().expand(shape).requires_grad_() for value in make_parameters(values)]
    actual = torch.autograd.grad(fused(x, *parameters).sum(), parameters)
    torch.testing.assert_close(actual, torch.autograd.grad(plain(x, *parameters).sum(), parameters))


@every_function
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_stay_halves(
    fused: Function, plain: Function, values: list[float], dtype: torch.dtype
) -> None:
    x = torch.linspace(-1, 1, 9, dtype=dtype)
    expected = plain(x.double(), *make_parameters(values))
    torch.testing.assert_close(
        fused(x, *make_parameters(values, dtype)), expected.to(dtype), rtol=0.03, atol=0.03
    )


@pytest.mark.slow
@every_function
def test_it_is_the_plain_expression_in_a_graph(fused: Function, plain: Function, values: list[float]) -> None:
    x, parameters = torch.linspace(-2, 2.1, 8), make_parameters(values, torch.float32)
    compiled = torch.compile(fused, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x, *parameters), plain(x, *parameters))
    slopes = torch.func.vmap(torch.func.grad(fused), in_dims=(0, *(None for _ in values)))(x, *parameters)
    x.requires_grad_()
    torch.testing.assert_close((slopes,), torch.autograd.grad(plain(x, *parameters).sum(), x))
