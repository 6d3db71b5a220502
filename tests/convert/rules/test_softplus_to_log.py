import numpy as np

from convert.rules.softplus_to_log import RULE
from tests.convert.graphs import ROWS, applied, assert_same_values, graph, operators, run, samples


def test_softplus_becomes_a_logarithm_that_cannot_overflow() -> None:
    text = graph("y = Softplus(x)")
    optimised = applied(RULE, text)
    assert sorted(operators(optimised)) == sorted(["Abs", "Sigmoid", "Log", "Relu", "Sub"])
    assert_same_values(optimised, text, tolerance=1e-6)


def test_it_fires_on_rows_too_where_the_fused_kernel_is_slower() -> None:
    text = graph("y = Softplus(x)", x=ROWS, y=ROWS)
    optimised = applied(RULE, text)
    assert "Softplus" not in operators(optimised)
    assert_same_values(optimised, text, samples((5, 4)), tolerance=1e-6)


def test_it_is_finite_at_both_ends() -> None:
    x = np.array([3e38, -3e38, np.inf, -np.inf], np.float32).reshape(1, 4)
    y = run(applied(RULE, graph("y = Softplus(x)", x=ROWS, y=ROWS)).model, {"x": x})["y"]
    np.testing.assert_array_equal(y, np.array([[3e38, 0, np.inf, 0]], np.float32))
