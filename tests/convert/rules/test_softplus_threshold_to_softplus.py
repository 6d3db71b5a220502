import pytest

from convert.rules.softplus_threshold_to_softplus import RULE
from tests.convert.graphs import applied, assert_same_values, constant, graph, operators, reasons

T20 = constant("t", values="{20}")


def test_the_threshold_goes() -> None:
    text = graph("s = Softplus(x) g = Greater(x, t) y = Where(g, x, s)", T20)
    optimised = applied(RULE, text)
    assert operators(optimised) == ["Softplus"]
    assert_same_values(optimised, text, tolerance=1e-6)


def test_the_threshold_goes_from_a_scaled_softplus() -> None:
    text = graph(
        "u = Mul(x, b) s = Softplus(u) d = Div(s, b) g = Greater(u, t) y = Where(g, x, d)",
        T20,
        constant("b", values="{2.5}"),
    )
    optimised = applied(RULE, text)
    assert operators(optimised) == ["Mul", "Softplus", "Div"]
    assert_same_values(optimised, text, tolerance=1e-6)


@pytest.mark.parametrize(
    ("threshold", "straight", "reason"),
    [
        ("{5}", "x", "a threshold of 5 is too low for both branches to round alike"),
        ("{20}", "r", "the straight branch is not the line that Softplus tends to"),
    ],
)
def test_it_declines(threshold: str, straight: str, reason: str) -> None:
    body = f"r = Neg(x) s = Softplus(x) g = Greater(x, t) y = Where(g, {straight}, s)"
    optimised = applied(RULE, graph(body, constant("t", values=threshold)))
    assert operators(optimised)[-1] == "Where"
    assert reasons(optimised) == [reason]


def test_it_declines_another_scale_inside_than_outside() -> None:
    text = graph(
        "u = Mul(x, b) s = Softplus(u) d = Div(s, c) g = Greater(u, t) y = Where(g, x, d)",
        T20,
        constant("b", values="{2.5}"),
        constant("c", values="{2}"),
    )
    assert reasons(applied(RULE, text)) == ["the straight branch is not the line that Softplus tends to"]


def test_it_declines_scales_of_which_only_the_first_is_the_line() -> None:
    text = graph(
        "s = Softplus(x) d = Mul(s, c) g = Greater(x, t) y = Where(g, x, d)",
        T20,
        constant("c", 4, 1, 1, values="{1, 2, 3, 4}"),
    )
    assert reasons(applied(RULE, text)) == ["the straight branch is not the line that Softplus tends to"]


def test_the_threshold_goes_from_a_softplus_with_a_scale_a_channel() -> None:
    text = graph(
        "u = Mul(x, b) s = Softplus(u) d = Div(s, b) g = Greater(u, t) y = Where(g, x, d)",
        T20,
        constant("b", 4, 1, 1, values="{0.5, 1, 2, 4}"),
    )
    optimised = applied(RULE, text)
    assert operators(optimised) == ["Mul", "Softplus", "Div"]
    assert_same_values(optimised, text, tolerance=1e-6)
