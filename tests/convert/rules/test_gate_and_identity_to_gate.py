import pytest

from convert.rules.gate_and_identity_to_gate import RULE
from tests.convert.graphs import (
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    write_constant,
    write_graph,
)

A, B = write_constant("a", 4, 1, 1), write_constant("b", 4, 1, 1)


@pytest.mark.parametrize("product", ["p = Mul(x, g)", "p = Mul(g, x)"])
@pytest.mark.parametrize(
    ("total", "expected"),
    [
        ("m = Mul(p, a) n = Mul(x, b) y = Add(m, n)", ["Sigmoid", "Mul", "Add", "Mul"]),
        ("n = Mul(x, b) y = Sub(p, n)", ["Sigmoid", "Add", "Mul"]),
        ("t = Tanh(x) m = Add(p, t) y = Add(m, x)", ["Sigmoid", "Tanh", "Add", "Mul", "Add"]),
    ],
)
def test_the_identity_goes_into_the_gate(product: str, total: str, expected: list[str]) -> None:
    text = write_graph(f"g = Sigmoid(x) {product} {total}", A, B)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == expected
    assert_same_values(optimised, text)


@pytest.mark.parametrize(
    "body",
    [
        "g = Sigmoid(x) p = Mul(x, g) t = Tanh(x) y = Add(p, t)",
        "p = Mul(x, x) y = Add(p, x)",
        "g = Sigmoid(x) p = Mul(x, g) s = Add(p, x) y = Mul(s, p)",  # the product is read elsewhere too
    ],
)
def test_other_sums_stay(body: str) -> None:
    assert not apply_rule(RULE, write_graph(body, A)).firings


def test_it_declines_a_coefficient_that_overflows() -> None:
    body = "g = Sigmoid(x) p = Mul(x, g) i = Mul(p, h) m = Mul(i, h) y = Add(m, x)"
    found = list_reasons(apply_rule(RULE, write_graph(body, write_constant("h", values="{1e30}"))))
    assert found == ["a coefficient leaves the range of float32"]
