import pytest

from convert.rules.where_to_prelu import RULE
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
@pytest.mark.parametrize(
    ("test", "branches"),
    [("Greater", "x, m"), ("GreaterOrEqual", "x, m"), ("Less", "m, x"), ("LessOrEqual", "m, x")],
)
@pytest.mark.parametrize("product", ["Mul(a, x)", "Mul(x, a)"])
def test_the_definition_becomes_the_operator(
    test: str, branches: str, product: str, shape: tuple[int, ...]
) -> None:
    text = write_graph(
        f"t = {test}(x, zero) m = {product} y = Where(t, {branches})", ZERO, write_constant("a", *shape)
    )
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["PRelu"]
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
    optimised = apply_rule(RULE, write_graph(body, ZERO, write_constant("a", values="{0.25}")))
    assert list_operators(optimised)[-1] == "Where"


def test_it_declines_a_slope_that_is_computed() -> None:
    optimised = apply_rule(
        RULE, write_graph("t = Greater(x, zero) s = Sigmoid(x) m = Mul(s, x) y = Where(t, x, m)", ZERO)
    )
    assert list_reasons(optimised) == ["the slope is not constant, or would widen x"]
