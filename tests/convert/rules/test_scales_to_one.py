from convert.rules.scales_to_one import RULE
from tests.convert.graphs import (
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    write_constant,
    write_graph,
)


def test_two_scales_are_one() -> None:
    text = write_graph(
        "m = Mul(x, a) n = Neg(m) y = Div(n, b)", write_constant("a", 4, 1, 1), write_constant("b")
    )
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Mul"]
    assert_same_values(optimised, text)


def test_it_declines_a_product_that_overflows() -> None:
    text = write_graph("m = Mul(x, a) y = Mul(m, a)", write_constant("a", values="{1e30}"))
    assert list_reasons(apply_rule(RULE, text)) == ["the product of the scales leaves the range of float32"]


def test_it_declines_where_the_first_is_read_elsewhere_too() -> None:
    text = write_graph("m = Mul(x, a) n = Mul(m, a) y = Add(n, m)", write_constant("a"))
    assert list_reasons(apply_rule(RULE, text)) == ["the first scale is read elsewhere too"]
