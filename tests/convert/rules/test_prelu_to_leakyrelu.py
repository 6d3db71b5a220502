import pytest

from convert.rules.prelu_to_leakyrelu import RULE
from tests.convert.graphs import applied, assert_same_values, constant, graph, operators, reasons


@pytest.mark.parametrize("slope", ["0.25", "0", "1", "-0.5", "3"])
@pytest.mark.parametrize("shape", [(), (1,), (1, 1, 1)])
def test_one_slope_becomes_an_attribute(slope: str, shape: tuple[int, ...]) -> None:
    text = graph("y = PRelu(x, a)", constant("a", *shape, values=f"{{{slope}}}"))
    optimised = applied(RULE, text)
    assert operators(optimised) == ["LeakyRelu"]
    assert_same_values(optimised, text, tolerance=0)


def test_equal_slopes_of_all_channels_are_one_slope() -> None:
    text = graph("y = PRelu(x, a)", constant("a", 4, 1, 1, values="{0.5, 0.5, 0.5, 0.5}"))
    optimised = applied(RULE, text)
    assert operators(optimised) == ["LeakyRelu"]
    assert_same_values(optimised, text, tolerance=0)


def test_it_declines_slopes_that_differ() -> None:
    optimised = applied(RULE, graph("y = PRelu(x, a)", constant("a", 4, 1, 1)))
    assert reasons(optimised) == ["the slope differs between channels"]


def test_it_declines_a_slope_given_at_run_time() -> None:
    optimised = applied(RULE, graph("a = Sigmoid(x) y = PRelu(x, a)"))
    assert reasons(optimised) == ["the slope is not constant"]
