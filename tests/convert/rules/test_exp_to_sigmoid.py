import pytest

from convert.rules.exp_to_sigmoid import RULE
from tests.convert.graphs import (
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    make_samples,
    write_constant,
    write_graph,
)

ONE, TWO, B = (
    write_constant("one", values="{1}"),
    write_constant("two", values="{2}"),
    write_constant("b", values="{1.5}"),
)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("n = Neg(x) e = Exp(n) d = Add(e, one) y = Div(one, d)", ["Sigmoid"]),
        ("n = Neg(x) e = Exp(n) d = Add(one, e) y = Reciprocal(d)", ["Sigmoid"]),
        ("n = Neg(x) e = Exp(n) d = Add(one, e) y = Div(x, d)", ["Sigmoid", "Mul"]),
        ("u = Mul(x, b) n = Neg(u) e = Exp(n) d = Add(e, one) y = Div(x, d)", ["Mul", "Sigmoid", "Mul"]),
        ("e = Exp(x) d = Add(e, one) y = Div(two, d)", ["Neg", "Sigmoid", "Mul"]),
    ],
)
def test_the_logistic_curve_is_a_sigmoid(body: str, expected: list[str]) -> None:
    text = write_graph(body, ONE, TWO, B)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == expected
    assert_same_values(optimised, text, make_samples().clip(-80, 80))


@pytest.mark.parametrize("addend", ["two", "b"])
def test_another_denominator_stays(addend: str) -> None:
    text = write_graph(f"n = Neg(x) e = Exp(n) d = Add(e, {addend}) y = Div(x, d)", TWO, B)
    assert "Div" in list_operators(apply_rule(RULE, text))


def test_it_declines_a_numerator_that_widens() -> None:
    wide = write_constant("w", 2, 1, 1, 1, 1)
    text = write_graph("e = Exp(x) d = Add(e, one) y = Div(w, d)", ONE, wide, y="float[2,N,4,6,6]")
    reason = "what is added or divided may widen the shape of the exponent"
    assert list_reasons(apply_rule(RULE, text)) == [reason]


def test_it_declines_where_the_curve_sets_how_steep_another_is() -> None:
    text = write_graph(
        "t = Tanh(x) e = Exp(t) d = Add(e, one) g = Div(one, d) p = Mul(g, x) y = Sigmoid(p)", ONE
    )
    reason = "it sets how steep another curve is, and ONNX Runtime's Sigmoid loses its tail"
    assert list_reasons(apply_rule(RULE, text)) == [reason]
