import pytest

from convert.rules.where_to_prelu import RULE
from tests.convert.graphs import applied, assert_same_values, constant, graph, operators, reasons

ZERO = constant("zero", values="{0}")


@pytest.mark.parametrize("shape", [(), (4, 1, 1)])
@pytest.mark.parametrize(
    ("test", "branches"),
    [("Greater", "x, m"), ("GreaterOrEqual", "x, m"), ("Less", "m, x"), ("LessOrEqual", "m, x")],
)
@pytest.mark.parametrize("product", ["Mul(a, x)", "Mul(x, a)"])
def test_the_definition_becomes_the_operator(
    test: str, branches: str, product: str, shape: tuple[int, ...]
) -> None:
    text = graph(f"t = {test}(x, zero) m = {product} y = Where(t, {branches})", ZERO, constant("a", *shape))
    optimised = applied(RULE, text)
    assert operators(optimised) == ["PRelu"]
    assert_same_values(optimised, text, tolerance=0)


@pytest.mark.parametrize(
    "body",
    [
        "t = Greater(x, a) m = Mul(a, x) y = Where(t, x, m)",  # not at zero
        "t = Greater(x, zero) m = Mul(a, x) y = Where(t, m, x)",  # the other way round
        "t = Greater(x, zero) r = Relu(x) m = Mul(a, r) y = Where(t, x, m)",  # another value's multiple
    ],
)
def test_other_choices_stay(body: str) -> None:
    optimised = applied(RULE, graph(body, ZERO, constant("a", values="{0.25}")))
    assert operators(optimised)[-1] == "Where"


def test_it_declines_a_slope_that_is_computed() -> None:
    optimised = applied(
        RULE, graph("t = Greater(x, zero) s = Sigmoid(x) m = Mul(s, x) y = Where(t, x, m)", ZERO)
    )
    assert reasons(optimised) == ["the slope is not constant, or would widen x"]
