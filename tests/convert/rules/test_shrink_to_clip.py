import numpy as np
import pytest

from convert.rules.shrink_to_clip import RULE
from tests.convert.graphs import (
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    parse_graph,
    run_graph,
    write_constant,
    write_graph,
)

C, ZERO = write_constant("c", values="{0.3}"), write_constant("zero", values="{0}")
SHRINK = (
    "m = Abs(x) t = Greater(m, c) s = Sign(x) o = Mul(s, c) d = Sub(x, o) z = Mul(x, zero) y = Where(t, d, z)"
)


def test_softshrink_is_what_a_clip_leaves() -> None:
    text = write_graph(SHRINK, C, ZERO)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Clip", "Sub"]
    assert_same_values(optimised, text, tolerance=0)


def test_numbers_that_are_not_finite_stay_what_they_were() -> None:
    text = write_graph(SHRINK, C, ZERO, x="float[N]", y="float[N]")
    x = np.array([np.nan, np.inf, -np.inf, 0.3, -0.3], np.float32)
    before, after = (
        run_graph(model, {"x": x})["y"] for model in (parse_graph(text), apply_rule(RULE, text).model)
    )
    np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize(
    "body",
    [
        SHRINK.replace("Mul(s, c)", "Mul(s, other)"),
        SHRINK.replace("Mul(x, zero)", "Mul(x, c)"),
        SHRINK.replace("Abs(x)", "Neg(x)"),
        SHRINK.replace("Sub(x, o)", "Sub(o, x)"),
        SHRINK.replace("Where(t, d, z)", "Where(t, z, d)"),
    ],
)
def test_another_function_stays(body: str) -> None:
    text = write_graph(body, C, ZERO, write_constant("other", values="{0.5}"))
    assert list_operators(apply_rule(RULE, text))[-1] == "Where"


def test_it_declines_a_bound_below_zero() -> None:
    text = write_graph(SHRINK, write_constant("c", values="{-0.3}"), ZERO)
    assert list_reasons(apply_rule(RULE, text)) == ["the bound is below 0"]
