import pytest

from convert.rules.max_to_prelu import RULE
from tests.convert.graphs import (
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    write_constant,
    write_graph,
)

LOW, HIGH = (
    write_constant("a", 4, 1, 1, values="{0.25, -0.5, 1, 0}"),
    write_constant("a", 4, 1, 1, values="{2, 1, 3, 1.5}"),
)


@pytest.mark.parametrize(
    ("body", "slope"),
    [
        ("p = Mul(x, a) y = Max(x, p)", LOW),
        ("p = Mul(a, x) y = Max(p, x)", LOW),
        ("p = Mul(x, a) y = Min(p, x)", HIGH),
    ],
)
def test_the_larger_of_two_lines_through_zero_is_a_prelu(body: str, slope: str) -> None:
    text = write_graph(body, slope)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["PRelu"]
    assert_same_values(optimised, text, tolerance=0)


@pytest.mark.parametrize(("operator", "slope"), [("Max", HIGH), ("Min", LOW)])
def test_it_declines_a_slope_on_the_wrong_side_of_one(operator: str, slope: str) -> None:
    text = write_graph(f"p = Mul(x, a) y = {operator}(x, p)", slope)
    assert list_reasons(apply_rule(RULE, text)) == ["the slope is on the wrong side of 1 in a channel"]


def test_lines_of_other_values_stay() -> None:
    text = write_graph("r = Abs(x) p = Mul(r, a) y = Max(x, p)", LOW)
    assert list_operators(apply_rule(RULE, text)) == ["Abs", "Mul", "Max"]
