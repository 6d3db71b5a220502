import pytest

from convert.rules.softplus_threshold_to_softplus import RULE
from tests.convert.graphs import (
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    write_constant,
    write_graph,
)

T20 = write_constant("t", values="{20}")


def test_the_threshold_goes() -> None:
    text = write_graph("s = Softplus(x) g = Greater(x, t) y = Where(g, x, s)", T20)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Softplus"]
    assert_same_values(optimised, text, tolerance=1e-6)


def test_the_threshold_goes_from_a_scaled_softplus() -> None:
    text = write_graph(
        "u = Mul(x, b) s = Softplus(u) d = Div(s, b) g = Greater(u, t) y = Where(g, x, d)",
        T20,
        write_constant("b", values="{2.5}"),
    )
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Mul", "Softplus", "Div"]
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
    optimised = apply_rule(RULE, write_graph(body, write_constant("t", values=threshold)))
    assert list_operators(optimised)[-1] == "Where"
    assert list_reasons(optimised) == [reason]


def test_it_declines_another_scale_inside_than_outside() -> None:
    text = write_graph(
        "u = Mul(x, b) s = Softplus(u) d = Div(s, c) g = Greater(u, t) y = Where(g, x, d)",
        T20,
        write_constant("b", values="{2.5}"),
        write_constant("c", values="{2}"),
    )
    assert list_reasons(apply_rule(RULE, text)) == [
        "the straight branch is not the line that Softplus tends to"
    ]


def test_it_declines_scales_of_which_only_the_first_is_the_line() -> None:
    text = write_graph(
        "s = Softplus(x) d = Mul(s, c) g = Greater(x, t) y = Where(g, x, d)",
        T20,
        write_constant("c", 4, 1, 1, values="{1, 2, 3, 4}"),
    )
    assert list_reasons(apply_rule(RULE, text)) == [
        "the straight branch is not the line that Softplus tends to"
    ]


def test_the_threshold_goes_with_a_scale_per_channel() -> None:
    text = write_graph(
        "u = Mul(x, b) s = Softplus(u) d = Div(s, b) g = Greater(u, t) y = Where(g, x, d)",
        T20,
        write_constant("b", 4, 1, 1, values="{0.5, 1, 2, 4}"),
    )
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Mul", "Softplus", "Div"]
    assert_same_values(optimised, text, tolerance=1e-6)
