import numpy as np

from convert.rules.softplus_to_log import RULE
from tests.convert.graphs import (
    ROWS,
    apply_rule,
    assert_same_values,
    list_operators,
    make_samples,
    run_graph,
    write_graph,
)


def test_softplus_becomes_a_logarithm_that_cannot_overflow() -> None:
    text = write_graph("y = Softplus(x)")
    optimised = apply_rule(RULE, text)
    assert sorted(list_operators(optimised)) == sorted(["Abs", "Sigmoid", "Log", "Relu", "Sub"])
    assert_same_values(optimised, text, tolerance=1e-6)


def test_it_fires_on_rows_too_where_the_fused_kernel_is_slower() -> None:
    text = write_graph("y = Softplus(x)", x=ROWS, y=ROWS)
    optimised = apply_rule(RULE, text)
    assert "Softplus" not in list_operators(optimised)
    assert_same_values(optimised, text, make_samples((5, 4)), tolerance=1e-6)


def test_it_is_finite_at_both_ends() -> None:
    x = np.array([3e38, -3e38, np.inf, -np.inf], np.float32).reshape(1, 4)
    y = run_graph(apply_rule(RULE, write_graph("y = Softplus(x)", x=ROWS, y=ROWS)).model, {"x": x})["y"]
    np.testing.assert_array_equal(y, np.array([[3e38, 0, np.inf, 0]], np.float32))
