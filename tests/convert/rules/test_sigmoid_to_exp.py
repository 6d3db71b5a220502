import numpy as np
import pytest

from convert.rules.sigmoid_to_exp import RULE
from tests.convert.graphs import (
    ROWS,
    Array,
    apply_rule,
    assert_same_values,
    list_operators,
    parse_graph,
    run_graph,
    run_in_float64,
    write_constant,
    write_graph,
)

SLOPES, CURVE = write_constant("s", 4), "p = Mul(g, x) y = Sigmoid(p)"
FORM = ["Neg", "Exp", "Add", "Reciprocal"]


def rows(body: str, *constants: str) -> str:
    return write_graph(body, *constants, x=ROWS, y=ROWS)


def steep() -> Array:
    """Inputs near 10⁴ whose gates, Sigmoid(x · s), lie between 10⁻⁷ and 10⁻³."""
    return np.linspace(-16_000, -7_000, 40, dtype=np.float32).reshape(10, 4)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (f"u = Tanh(x) g = Sigmoid(u) {CURVE}", ["Tanh", *FORM, "Mul", "Sigmoid"]),
        (
            "u = Tanh(x) g = Sigmoid(u) m = Mul(g, s) p = Mul(m, x) y = Tanh(p)",
            ["Tanh", *FORM, "Mul", "Mul", "Tanh"],
        ),
        (
            "u = Tanh(x) g = Sigmoid(u) i = Identity(g) p = Mul(i, x) m = Mul(p, s) y = Erf(m)",
            ["Tanh", *FORM, "Identity", "Mul", "Mul", "Erf"],
        ),
    ],
)
def test_a_gate_that_sets_a_steepness_is_written_with_exp(body: str, expected: list[str]) -> None:
    text = rows(body, SLOPES)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == expected
    assert_same_values(optimised, text, np.linspace(-3, 3, 20, dtype=np.float32).reshape(5, 4))


def test_digits_that_a_large_input_lifts_are_kept() -> None:
    text = rows(f"u = Mul(x, k) g = Sigmoid(u) {CURVE}", "float k = {0.0009765625}")
    feeds = {"x": steep()}
    meant = run_in_float64(text, feeds)["y"]
    plain, rewritten = (
        np.abs(run_graph(graph, feeds)["y"] - meant).max()
        for graph in (parse_graph(text), apply_rule(RULE, text).model)
    )
    assert rewritten < 2e-7
    assert plain > 100 * rewritten


@pytest.mark.parametrize(
    "body",
    [
        "u = Tanh(x) g = Sigmoid(u) y = Mul(g, x)",  # a gate, and nothing more
        f"g = Sigmoid(x) {CURVE}",  # tiny only where x itself is small beside the gate's reach
        "u = Tanh(x) g = Sigmoid(u) t = Tanh(x) p = Mul(g, t) y = Sigmoid(p)",  # nothing lifts it
        "u = Tanh(x) g = Sigmoid(u) m = Mul(g, s) y = Sigmoid(m)",
        "u = Tanh(x) g = Sigmoid(u) p = Mul(g, x) a = Add(p, x) y = Sigmoid(a)",
        "u = Tanh(x) g = Sigmoid(u) p = Mul(g, x) q = Sigmoid(p) y = Mul(q, g)",
    ],
)
def test_any_other_sigmoid_stays(body: str) -> None:
    assert not apply_rule(RULE, rows(body, SLOPES)).firings
