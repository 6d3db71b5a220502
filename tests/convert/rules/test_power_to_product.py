import pytest

from convert.rules.power_to_product import RULE
from tests.convert.graphs import (
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    write_constant,
    write_graph,
)


@pytest.mark.parametrize(("exponent", "products"), [("2", 1), ("3", 2)])
def test_a_square_and_a_cube_become_products(exponent: str, products: int) -> None:
    text = write_graph("y = Pow(x, c)", write_constant("c", values=f"{{{exponent}}}"))
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Mul"] * products
    assert_same_values(optimised, text)


@pytest.mark.parametrize("exponent", ["0.5", "4", "-1"])
def test_it_declines_other_exponents(exponent: str) -> None:
    optimised = apply_rule(RULE, write_graph("y = Pow(x, c)", write_constant("c", values=f"{{{exponent}}}")))
    assert list_operators(optimised) == ["Pow"]
    assert list_reasons(optimised) == [
        "only the square and the cube of floating point numbers are products of two or three"
    ]


def test_it_declines_an_exponent_that_widens_the_shape() -> None:
    text = write_graph("y = Pow(x, c)", write_constant("c", 1, 1, values="{2}"), x="float[4]", y="float[1,4]")
    assert list_reasons(apply_rule(RULE, text)) == ["the exponent may widen the shape of what it meets"]
