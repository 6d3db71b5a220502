import pytest

from convert.rules.clip_to_one_bound import RULE
from tests.convert.graphs import applied, assert_same_values, constant, graph, operators, reasons

A, W = constant("a", values="{-0.25}"), constant("w", 4, 4, 1, 1)


@pytest.mark.parametrize(("clip", "operator"), [("Clip(x, , a)", "Min"), ("Clip(x, a)", "Max")])
def test_one_bound_has_one_name(clip: str, operator: str) -> None:
    text = graph(f"y = {clip}", A)
    optimised = applied(RULE, text)
    assert operators(optimised) == [operator]
    assert_same_values(optimised, text, tolerance=0)


@pytest.mark.parametrize("body", ["y = Clip(x, a, a)", "c = Conv(x, w) y = Clip(c, , a)", "y = Clip(x)"])
def test_two_bounds_and_those_that_a_convolution_takes_over_stay(body: str) -> None:
    assert "Clip" in operators(applied(RULE, graph(body, A, W)))


def test_it_declines_a_bound_that_is_computed() -> None:
    text = graph("h = Identity(a) y = Clip(x, , h)", A)
    assert reasons(applied(RULE, text)) == ["the bound is not one constant number"]
