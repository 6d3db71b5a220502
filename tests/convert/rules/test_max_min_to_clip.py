import pytest

from convert.rules.max_min_to_clip import RULE
from tests.convert.graphs import (
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    write_constant,
    write_graph,
)


@pytest.mark.parametrize("body", ["m = Max(x, a) y = Min(m, b)", "m = Min(b, x) y = Max(a, m)"])
def test_two_numbers_are_the_bounds_of_a_clip(body: str) -> None:
    text = write_graph(body, write_constant("a", values="{-0.5}"), write_constant("b", values="{1.5}"))
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Clip"]
    assert_same_values(optimised, text, tolerance=0)


@pytest.mark.parametrize("body", ["m = Relu(x) y = Min(m, b)", "m = Min(b, x) y = Relu(m)"])
def test_relu_is_the_bound_zero(body: str) -> None:
    text = write_graph(body, write_constant("b", values="{6}"))
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Clip"]
    assert_same_values(optimised, text, tolerance=0)


def test_it_declines_bounds_that_cross() -> None:
    text = write_graph(
        "m = Max(x, a) y = Min(m, b)", write_constant("a", values="{2}"), write_constant("b", values="{1.5}")
    )
    assert list_reasons(apply_rule(RULE, text)) == ["the bounds cross"]


def test_bounds_a_channel_stay() -> None:
    text = write_graph(
        "m = Max(x, a) y = Min(m, b)", write_constant("a", values="{0}"), write_constant("b", 4, 1, 1)
    )
    assert list_operators(apply_rule(RULE, text)) == ["Max", "Min"]
