import numpy as np
import pytest

from convert.rules.prelu_to_relu import RULE
from tests.convert.graphs import (
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    make_samples,
    run_graph,
    write_constant,
    write_graph,
)


@pytest.mark.parametrize("slopes", ["{0.25, -1, 2, 0}", "{0.1, 0.3, 0.7, 1}", "{-0.9, 1.7, 8, -8}"])
def test_a_slope_a_channel_becomes_a_sum(slopes: str) -> None:
    text = write_graph("y = PRelu(x, a)", write_constant("a", 4, 1, 1, values=slopes))
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Relu", "Mul", "Mul", "Add"]
    assert_same_values(optimised, text)


def test_it_is_exact_where_the_slopes_are() -> None:
    text = write_graph("y = PRelu(x, a)", write_constant("a", 4, 1, 1, values="{0.25, 0.25, 0.5, 0.75}"))
    assert_same_values(apply_rule(RULE, text), text, make_samples(), tolerance=1e-7)


def test_nan_and_inf_pass_as_before_for_slopes_between_0_and_1() -> None:
    text = write_graph("y = PRelu(x, a)", write_constant("a", 4, 1, 1, values="{0.25, 0.3, 0.5, 0.9}"))
    x = make_samples()
    x[0, :, 0, 0], x[1, :, 0, 0], x[2, :, 0, 0] = np.nan, np.inf, -np.inf
    after = run_graph(apply_rule(RULE, text).model, {"x": x})["y"][:, :, 0, 0]
    assert np.isnan(after[0]).all()
    assert (after[1] == np.inf).all()
    assert (after[2] == -np.inf).all()


@pytest.mark.parametrize(
    ("body", "slopes", "reason"),
    [
        ("y = PRelu(x, a)", "{1, 2, 9, 0}", "a slope beyond 8 would cancel digits"),
        ("s = Sigmoid(x) y = PRelu(x, s)", "{1, 2, 3, 4}", "the slope is not constant"),
    ],
)
def test_it_declines(body: str, slopes: str, reason: str) -> None:
    optimised = apply_rule(RULE, write_graph(body, write_constant("a", 4, 1, 1, values=slopes)))
    assert list_operators(optimised)[-1] == "PRelu"
    assert list_reasons(optimised) == [reason]
