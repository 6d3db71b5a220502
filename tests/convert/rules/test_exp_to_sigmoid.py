import pytest

from convert.rules.exp_to_sigmoid import RULE
from tests.convert.graphs import applied, assert_same_values, constant, graph, operators, reasons, samples

ONE, TWO, B = constant("one", values="{1}"), constant("two", values="{2}"), constant("b", values="{1.5}")


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
    text = graph(body, ONE, TWO, B)
    optimised = applied(RULE, text)
    assert operators(optimised) == expected
    assert_same_values(optimised, text, samples().clip(-80, 80))


@pytest.mark.parametrize("addend", ["two", "b"])
def test_another_denominator_stays(addend: str) -> None:
    text = graph(f"n = Neg(x) e = Exp(n) d = Add(e, {addend}) y = Div(x, d)", TWO, B)
    assert "Div" in operators(applied(RULE, text))


def test_it_declines_a_numerator_that_widens() -> None:
    wide = constant("w", 2, 1, 1, 1, 1)
    text = graph("e = Exp(x) d = Add(e, one) y = Div(w, d)", ONE, wide, y="float[2,N,4,6,6]")
    reason = "what is added or divided may widen the shape of the exponent"
    assert reasons(applied(RULE, text)) == [reason]


def test_it_declines_where_the_curve_sets_how_steep_another_is() -> None:
    text = graph("t = Tanh(x) e = Exp(t) d = Add(e, one) g = Div(one, d) p = Mul(g, x) y = Sigmoid(p)", ONE)
    reason = "it sets how steep another curve is, and ONNX Runtime's Sigmoid loses its tail"
    assert reasons(applied(RULE, text)) == [reason]
