import pytest

from convert.rules.erf_to_gelu import RULE
from tests.convert.graphs import (
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    write_constant,
    write_graph,
)

CONSTANTS = (
    write_constant("k", values="{0.70710678}"),
    write_constant("root", values="{1.41421356}"),
    *(
        write_constant("one", values="{1}"),
        write_constant("half", values="{0.5}"),
        write_constant("j", values="{-0.5}"),
    ),
)
GATE = "u = Mul(x, k) e = Erf(u) g = Add(e, one)"
PRODUCTS = {
    "exporters": "d = Div(x, root) e = Erf(d) g = Add(e, one) p = Mul(x, g) y = Mul(p, half)",
    "half of x first": f"{GATE} h = Mul(x, half) y = Mul(h, g)",
    "half of the gate": f"{GATE} h = Mul(g, half) y = Mul(x, h)",
}


@pytest.mark.parametrize("body", PRODUCTS.values(), ids=PRODUCTS.keys())
def test_gelu_written_out_is_gelu(body: str) -> None:
    text = write_graph(body, *CONSTANTS)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Gelu"]
    assert_same_values(optimised, text)


def test_another_steepness_and_height_are_scales() -> None:
    text = write_graph("u = Mul(x, half) e = Erf(u) g = Add(e, one) y = Mul(g, x)", *CONSTANTS)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Mul", "Gelu", "Mul"]
    assert_same_values(optimised, text)


def test_it_declines_below_the_opset_that_has_gelu() -> None:
    text = write_graph(PRODUCTS["exporters"], *CONSTANTS).replace(": 20]", ": 19]")
    optimised = apply_rule(RULE, text)
    assert not optimised.firings
    assert "the graph's opset has no Gelu" in list_reasons(optimised)


def test_it_declines_a_steepness_below_zero() -> None:
    text = write_graph("u = Mul(x, j) e = Erf(u) g = Add(e, one) y = Mul(g, x)", *CONSTANTS)
    assert list_reasons(apply_rule(RULE, text)) == ["the steepness is not above 0"]
