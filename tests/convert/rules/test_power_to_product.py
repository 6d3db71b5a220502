import pytest

from convert.rules.power_to_product import RULE
from tests.convert.graphs import applied, assert_same_values, constant, graph, operators, reasons


@pytest.mark.parametrize(("exponent", "products"), [("2", 1), ("3", 2)])
def test_a_square_and_a_cube_become_products(exponent: str, products: int) -> None:
    text = graph("y = Pow(x, c)", constant("c", values=f"{{{exponent}}}"))
    optimised = applied(RULE, text)
    assert operators(optimised) == ["Mul"] * products
    assert_same_values(optimised, text)


@pytest.mark.parametrize("exponent", ["0.5", "4", "-1"])
def test_it_declines_other_exponents(exponent: str) -> None:
    optimised = applied(RULE, graph("y = Pow(x, c)", constant("c", values=f"{{{exponent}}}")))
    assert operators(optimised) == ["Pow"]
    assert reasons(optimised) == [
        "only the square and the cube of floating point numbers are products of two or three"
    ]


def test_it_declines_an_exponent_that_widens_the_shape() -> None:
    text = graph("y = Pow(x, c)", constant("c", 1, 1, values="{2}"), x="float[4]", y="float[1,4]")
    assert reasons(applied(RULE, text)) == ["the exponent may widen the shape of what it meets"]
