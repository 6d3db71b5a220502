import pytest

from convert.rules.prelu_to_leakyrelu import RULE
from tests.convert.graphs import (
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    write_constant,
    write_graph,
)


@pytest.mark.parametrize("slope", ["0.25", "0", "1", "-0.5", "3"])
@pytest.mark.parametrize("shape", [(), (1,), (1, 1, 1)])
def test_one_slope_becomes_an_attribute(slope: str, shape: tuple[int, ...]) -> None:
    text = write_graph("y = PRelu(x, a)", write_constant("a", *shape, values=f"{{{slope}}}"))
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["LeakyRelu"]
    assert_same_values(optimised, text, tolerance=0)


def test_equal_slopes_of_all_channels_are_one_slope() -> None:
    text = write_graph("y = PRelu(x, a)", write_constant("a", 4, 1, 1, values="{0.5, 0.5, 0.5, 0.5}"))
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["LeakyRelu"]
    assert_same_values(optimised, text, tolerance=0)


def test_it_declines_slopes_that_differ() -> None:
    optimised = apply_rule(RULE, write_graph("y = PRelu(x, a)", write_constant("a", 4, 1, 1)))
    assert list_reasons(optimised) == ["the slope differs between channels"]


def test_it_declines_a_slope_given_at_run_time() -> None:
    optimised = apply_rule(RULE, write_graph("a = Sigmoid(x) y = PRelu(x, a)"))
    assert list_reasons(optimised) == ["the slope is not constant"]
