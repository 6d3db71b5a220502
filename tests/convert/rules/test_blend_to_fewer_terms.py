import pytest

from convert.rules.blend_to_fewer_terms import RULE
from tests.convert.graphs import (
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    write_constant,
    write_graph,
)

A, B, ZERO = (
    write_constant("a", 4, 1, 1),
    write_constant("b", 4, 1, 1),
    write_constant("zero", 4, 1, 1, values="{0,0,0,0}"),
)
HINGES = "u = Sub(x, t) r = Relu(u) v = Sub(x, t) q = Relu(v)"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("r = Relu(x) m = Mul(r, a) n = Mul(r, b) y = Add(m, n)", ["Relu", "Mul"]),
        ("r = Relu(x) m = Mul(r, a) n = Mul(r, b) y = Sub(m, n)", ["Relu", "Mul"]),
        (f"{HINGES} m = Mul(r, a) n = Mul(q, b) y = Add(m, n)", ["Sub", "Relu", "Mul"]),
        ("t1 = Tanh(x) m = Mul(t1, a) n = Mul(x, zero) y = Add(m, n)", ["Tanh", "Mul"]),
        ("t1 = Tanh(x) m = Mul(x, a) n = Add(m, t1) o = Mul(x, b) y = Add(n, o)", ["Tanh", "Mul", "Add"]),
        ("m = Add(x, a) t1 = Tanh(x) n = Add(t1, m) y = Add(n, b)", ["Tanh", "Add", "Add"]),
        ("r = Relu(x) m = Mul(r, zero) n = Mul(x, zero) y = Add(m, n)", ["Relu", "Mul"]),
        (
            "t1 = Tanh(x) i = Add(x, t1) m = Mul(i, a) n = Mul(x, b) y = Add(m, n)",
            ["Tanh", "Mul", "Mul", "Add"],
        ),
    ],
)
def test_equal_terms_and_constants_are_joined(body: str, expected: list[str]) -> None:
    text = write_graph(body, A, B, ZERO, write_constant("t"))
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == expected
    assert_same_values(optimised, text)


@pytest.mark.parametrize(
    "body",
    [
        "r = Relu(x) t1 = Tanh(x) m = Mul(r, a) y = Add(m, t1)",
        "u = Sub(x, t) r = Relu(u) v = Sub(x, a) q = Relu(v) y = Add(r, q)",  # other knots
        "r = LeakyRelu<alpha = 0.1>(x) q = LeakyRelu<alpha = 0.2>(x) y = Add(r, q)",
        "r = Relu(x) m = Mul(r, a) n = Mul(r, b) z = Add(m, n) y = Mul(z, m)",
    ],
)
def test_other_terms_stay(body: str) -> None:
    text = write_graph(body, A, B, write_constant("t"))
    optimised = apply_rule(RULE, text)
    assert optimised.model.graph.num_nodes() <= len(body.split("=")) - 1
    assert_same_values(optimised, text)


def test_it_declines_a_sum_of_coefficients_that_overflows() -> None:
    huge = write_constant("h", values="{3e38}")
    optimised = apply_rule(RULE, write_graph("r = Relu(x) m = Mul(r, h) n = Mul(r, h) y = Add(m, n)", huge))
    assert list_reasons(optimised) == ["an added coefficient leaves the range of FLOAT"]
