import pytest

from convert.rules.division_to_multiplication import RULE
from tests.convert.graphs import applied, assert_same_values, constant, graph, operators, reasons


@pytest.mark.parametrize("shape", [(), (4, 1, 1)])
def test_a_constant_divisor_becomes_a_factor(shape: tuple[int, ...]) -> None:
    text = graph("y = Div(x, c)", constant("c", *shape))
    optimised = applied(RULE, text)
    assert operators(optimised) == ["Mul"]
    assert_same_values(optimised, text)


@pytest.mark.parametrize("body", ["y = Div(c, x)", "r = Relu(x) y = Div(x, r)"])
def test_other_divisions_stay(body: str) -> None:
    assert operators(applied(RULE, graph(body, constant("c", values="{2}"))))[-1] == "Div"


def test_a_division_by_zero_stays() -> None:
    assert operators(applied(RULE, graph("y = Div(x, c)", constant("c", values="{0}")))) == ["Div"]


def test_it_declines_where_the_reciprocal_overflows() -> None:
    optimised = applied(RULE, graph("y = Div(x, c)", constant("c", values="{1e-39}")))
    assert reasons(optimised) == ["the reciprocal of the divisor leaves the range of float32"]
