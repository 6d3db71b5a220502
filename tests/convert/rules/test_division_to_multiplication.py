import pytest

from convert.rules.division_to_multiplication import RULE
from tests.convert.graphs import (
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    write_constant,
    write_graph,
)


@pytest.mark.parametrize("shape", [(), (4, 1, 1)])
def test_a_constant_divisor_becomes_a_factor(shape: tuple[int, ...]) -> None:
    text = write_graph("y = Div(x, c)", write_constant("c", *shape))
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Mul"]
    assert_same_values(optimised, text)


@pytest.mark.parametrize("body", ["y = Div(c, x)", "r = Relu(x) y = Div(x, r)"])
def test_other_divisions_stay(body: str) -> None:
    assert list_operators(apply_rule(RULE, write_graph(body, write_constant("c", values="{2}"))))[-1] == "Div"


def test_a_division_by_zero_stays() -> None:
    assert list_operators(
        apply_rule(RULE, write_graph("y = Div(x, c)", write_constant("c", values="{0}")))
    ) == ["Div"]


def test_it_declines_where_the_reciprocal_overflows() -> None:
    optimised = apply_rule(RULE, write_graph("y = Div(x, c)", write_constant("c", values="{1e-39}")))
    assert list_reasons(optimised) == ["the reciprocal of the divisor leaves the range of float32"]
