from convert.rules.matmul_to_gemm import RULE
from tests.convert.graphs import (
    ROWS,
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    make_samples,
    write_constant,
    write_graph,
)

W, B, V = (
    write_constant("w", 4, 4),
    write_constant("b", 4),
    write_constant("v", 4, values="{1, 0.5, 2, 0.25}"),
)
NORMAL = "h = MatMul(x, w) y = BatchNormalization(h, b, b, b, v)"


def test_before_a_normalisation_it_is_a_gemm() -> None:
    text = write_graph(NORMAL, W, B, V, x=ROWS, y=ROWS)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Gemm", "BatchNormalization"]
    assert_same_values(optimised, text, make_samples((5, 4)).clip(-30, 30))


def test_elsewhere_it_stays() -> None:
    text = write_graph("h = MatMul(x, w) y = Relu(h)", W, x=ROWS, y=ROWS)
    assert list_operators(apply_rule(RULE, text)) == ["MatMul", "Relu"]


def test_it_declines_more_axes_than_those_of_rows() -> None:
    text = write_graph(NORMAL, W, B, V, x="float[N,4,4]", y="float[N,4,4]")
    assert list_reasons(apply_rule(RULE, text)) == ["the input is not known to be rows"]
