import pytest

from convert.rules.max_min_to_clip import RULE
from tests.convert.graphs import applied, assert_same_values, constant, graph, operators, reasons


@pytest.mark.parametrize("body", ["m = Max(x, a) y = Min(m, b)", "m = Min(b, x) y = Max(a, m)"])
def test_two_numbers_are_the_bounds_of_a_clip(body: str) -> None:
    text = graph(body, constant("a", values="{-0.5}"), constant("b", values="{1.5}"))
    optimised = applied(RULE, text)
    assert operators(optimised) == ["Clip"]
    assert_same_values(optimised, text, tolerance=0)


@pytest.mark.parametrize("body", ["m = Relu(x) y = Min(m, b)", "m = Min(b, x) y = Relu(m)"])
def test_relu_is_the_bound_zero(body: str) -> None:
    text = graph(body, constant("b", values="{6}"))
    optimised = applied(RULE, text)
    assert operators(optimised) == ["Clip"]
    assert_same_values(optimised, text, tolerance=0)


def test_it_declines_bounds_that_cross() -> None:
    text = graph("m = Max(x, a) y = Min(m, b)", constant("a", values="{2}"), constant("b", values="{1.5}"))
    assert reasons(applied(RULE, text)) == ["the bounds cross"]


def test_bounds_a_channel_stay() -> None:
    text = graph("m = Max(x, a) y = Min(m, b)", constant("a", values="{0}"), constant("b", 4, 1, 1))
    assert operators(applied(RULE, text)) == ["Max", "Min"]
