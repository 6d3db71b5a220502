from convert.rules.matmul_to_gemm import RULE
from tests.convert.graphs import (
    ROWS,
    applied,
    assert_same_values,
    constant,
    graph,
    operators,
    reasons,
    samples,
)

W, B, V = constant("w", 4, 4), constant("b", 4), constant("v", 4, values="{1, 0.5, 2, 0.25}")
NORMAL = "h = MatMul(x, w) y = BatchNormalization(h, b, b, b, v)"


def test_before_a_normalisation_it_is_a_gemm() -> None:
    text = graph(NORMAL, W, B, V, x=ROWS, y=ROWS)
    optimised = applied(RULE, text)
    assert operators(optimised) == ["Gemm", "BatchNormalization"]
    assert_same_values(optimised, text, samples((5, 4)).clip(-30, 30))


def test_elsewhere_it_stays() -> None:
    text = graph("h = MatMul(x, w) y = Relu(h)", W, x=ROWS, y=ROWS)
    assert operators(applied(RULE, text)) == ["MatMul", "Relu"]


def test_it_declines_more_axes_than_those_of_rows() -> None:
    text = graph(NORMAL, W, B, V, x="float[N,4,4]", y="float[N,4,4]")
    assert reasons(applied(RULE, text)) == ["the input is not known to be rows"]
