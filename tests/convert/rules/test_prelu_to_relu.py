import numpy as np
import pytest

from convert.rules.prelu_to_relu import RULE
from tests.convert.graphs import (
    applied,
    assert_same_values,
    constant,
    graph,
    operators,
    reasons,
    run,
    samples,
)


@pytest.mark.parametrize("slopes", ["{0.25, -1, 2, 0}", "{0.1, 0.3, 0.7, 1}", "{-0.9, 1.7, 8, -8}"])
def test_a_slope_a_channel_becomes_a_sum(slopes: str) -> None:
    text = graph("y = PRelu(x, a)", constant("a", 4, 1, 1, values=slopes))
    optimised = applied(RULE, text)
    assert operators(optimised) == ["Relu", "Mul", "Mul", "Add"]
    assert_same_values(optimised, text)


def test_it_is_exact_where_the_slopes_are() -> None:
    text = graph("y = PRelu(x, a)", constant("a", 4, 1, 1, values="{0.25, 0.25, 0.5, 0.75}"))
    assert_same_values(applied(RULE, text), text, samples(), tolerance=1e-7)


def test_nan_and_inf_pass_as_before_for_slopes_between_0_and_1() -> None:
    text = graph("y = PRelu(x, a)", constant("a", 4, 1, 1, values="{0.25, 0.3, 0.5, 0.9}"))
    x = samples()
    x[0, :, 0, 0], x[1, :, 0, 0], x[2, :, 0, 0] = np.nan, np.inf, -np.inf
    after = run(applied(RULE, text).model, {"x": x})["y"][:, :, 0, 0]
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
    optimised = applied(RULE, graph(body, constant("a", 4, 1, 1, values=slopes)))
    assert operators(optimised)[-1] == "PRelu"
    assert reasons(optimised) == [reason]
