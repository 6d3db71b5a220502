import pytest

from convert.rules.relu_min_to_prelu import RULE
from tests.convert.graphs import (
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    write_constant,
    write_graph,
)

ZERO = write_constant("zero", values="{0}")


@pytest.mark.parametrize("shape", [(), (4, 1, 1)])
@pytest.mark.parametrize("negative", ["Min(x, zero)", "Min(zero, x)"])
@pytest.mark.parametrize("product", ["Mul(a, n)", "Mul(n, a)"])
@pytest.mark.parametrize("total", ["Add(r, m)", "Add(m, r)"])
def test_both_sides_become_one_operator(
    negative: str, product: str, total: str, shape: tuple[int, ...]
) -> None:
    text = write_graph(
        f"r = Relu(x) n = {negative} m = {product} y = {total}", ZERO, write_constant("a", *shape)
    )
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["PRelu"]
    assert_same_values(optimised, text, tolerance=0)


@pytest.mark.parametrize(
    "body",
    [
        "r = Relu(x) n = Min(x, a) m = Mul(a, n) y = Add(r, m)",  # not at zero
        "r = Relu(x) n = Min(r, zero) m = Mul(a, n) y = Add(r, m)",  # of another value
        "r = Relu(x) n = Max(x, zero) m = Mul(a, n) y = Add(r, m)",
        "r = Relu(x) n = Clip(x, a, zero) m = Mul(a, n) y = Add(r, m)",  # bounded below too
    ],
)
def test_other_sums_stay(body: str) -> None:
    optimised = apply_rule(RULE, write_graph(body, ZERO, write_constant("a", values="{-0.25}")))
    assert list_operators(optimised)[-1] == "Add"


def test_it_declines_a_slope_that_is_computed() -> None:
    text = write_graph("r = Relu(x) n = Min(x, zero) s = Sigmoid(x) m = Mul(s, n) y = Add(r, m)", ZERO)
    assert list_reasons(apply_rule(RULE, text)) == ["the slope is not constant"]


P, N = write_constant("p", 4, 1, 1, values="{2, 0.5, 1, 3}"), write_constant("n", 4, 1, 1)
MINUS, HALF = write_constant("minus", values="{-1}"), write_constant("half", values="{0.5}")


@pytest.mark.parametrize(
    "body",
    [
        "r = Relu(x) u = Mul(r, p) b = Min(x, zero) v = Mul(b, n) y = Add(u, v)",
        "r = Relu(x) u = Mul(p, r) b = Min(zero, x) v = Mul(n, b) y = Sub(u, v)",
        "r = Relu(x) u = Mul(r, p) b = Neg(x) q = Relu(b) v = Mul(q, n) y = Sub(u, v)",
        "r = Relu(x) u = Mul(r, p) b = Mul(x, minus) q = Relu(b) v = Mul(q, n) y = Add(v, u)",
        "r = Relu(x) u = Mul(r, p) b = Abs(x) d = Sub(x, b) v = Mul(d, n) y = Add(u, v)",
    ],
)
def test_a_slope_on_either_side_is_a_prelu_and_a_scale(body: str) -> None:
    text = write_graph(body, ZERO, P, N, MINUS, HALF)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["PRelu", "Mul"]
    assert_same_values(optimised, text)


@pytest.mark.parametrize("p", ["{0, 1, 1, 1}", "{1e-4, 1, 1, 1}"])
def test_it_declines_a_right_slope_that_divides_badly(p: str) -> None:
    body = "r = Relu(x) u = Mul(r, p) b = Min(x, zero) v = Mul(b, n) y = Add(u, v)"
    optimised = apply_rule(RULE, write_graph(body, ZERO, write_constant("p", 4, 1, 1, values=p), N))
    assert list_reasons(optimised) == ["the right slope is 0 or far below the left one"]
