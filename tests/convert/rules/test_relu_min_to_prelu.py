import pytest

from convert.rules.relu_min_to_prelu import RULE
from tests.convert.graphs import applied, assert_same_values, constant, graph, operators, reasons

ZERO = constant("zero", values="{0}")


@pytest.mark.parametrize("shape", [(), (4, 1, 1)])
@pytest.mark.parametrize("negative", ["Min(x, zero)", "Min(zero, x)", "Clip(x, , zero)"])
@pytest.mark.parametrize("product", ["Mul(a, n)", "Mul(n, a)"])
@pytest.mark.parametrize("total", ["Add(r, m)", "Add(m, r)"])
def test_both_sides_become_one_operator(
    negative: str, product: str, total: str, shape: tuple[int, ...]
) -> None:
    text = graph(f"r = Relu(x) n = {negative} m = {product} y = {total}", ZERO, constant("a", *shape))
    optimised = applied(RULE, text)
    assert operators(optimised) == ["PRelu"]
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
    optimised = applied(RULE, graph(body, ZERO, constant("a", values="{-0.25}")))
    assert operators(optimised)[-1] == "Add"


def test_it_declines_a_slope_that_is_computed() -> None:
    text = graph("r = Relu(x) n = Min(x, zero) s = Sigmoid(x) m = Mul(s, n) y = Add(r, m)", ZERO)
    assert reasons(applied(RULE, text)) == ["the slope is not constant"]
