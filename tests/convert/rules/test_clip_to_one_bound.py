import numpy as np
import pytest

from convert.rules.clip_to_one_bound import RULE
from tests.convert.graphs import (
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    run_graph,
    write_constant,
    write_graph,
)

A, W = write_constant("a", values="{-0.25}"), write_constant("w", 4, 4, 1, 1)


@pytest.mark.parametrize(("clip", "operator"), [("Clip(x, , a)", "Min"), ("Clip(x, a)", "Max")])
def test_one_bound_has_one_name(clip: str, operator: str) -> None:
    text = write_graph(f"y = {clip}", A)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == [operator]
    assert_same_values(optimised, text, tolerance=0)


@pytest.mark.parametrize("body", ["y = Clip(x, a, a)", "c = Conv(x, w) y = Clip(c, , a)", "y = Clip(x)"])
def test_two_bounds_and_those_that_a_convolution_takes_over_stay(body: str) -> None:
    assert "Clip" in list_operators(apply_rule(RULE, write_graph(body, A, W)))


def test_it_declines_a_bound_that_is_computed() -> None:
    text = write_graph("h = Identity(a) y = Clip(x, , h)", A)
    assert list_reasons(apply_rule(RULE, text)) == ["the bound is not one constant number"]


def test_a_bound_that_float64_does_not_hold_keeps_its_digits() -> None:
    head = '<ir_version: 10, opset_import: ["" : 20]> whole (int64[N] x) => (int64[N] y)'
    text = f"{head} <int64 c = {{{2**63 - 1}}}> {{ y = Clip(x, , c) }}"
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Min"]
    x = np.asarray([2**63 - 1, -5])
    np.testing.assert_array_equal(run_graph(optimised.model, {"x": x})["y"], x)
