from convert.rules.scales_to_one import RULE
from tests.convert.graphs import applied, assert_same_values, constant, graph, operators, reasons


def test_two_scales_are_one() -> None:
    text = graph("m = Mul(x, a) n = Neg(m) y = Div(n, b)", constant("a", 4, 1, 1), constant("b"))
    optimised = applied(RULE, text)
    assert operators(optimised) == ["Mul"]
    assert_same_values(optimised, text)


def test_it_declines_a_product_that_overflows() -> None:
    text = graph("m = Mul(x, a) y = Mul(m, a)", constant("a", values="{1e30}"))
    assert reasons(applied(RULE, text)) == ["the product of the scales leaves the range of float32"]


def test_it_declines_where_the_first_is_read_elsewhere_too() -> None:
    text = graph("m = Mul(x, a) n = Mul(m, a) y = Add(n, m)", constant("a"))
    assert reasons(applied(RULE, text)) == ["the first scale is read elsewhere too"]
