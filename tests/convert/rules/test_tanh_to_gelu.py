import numpy as np
import pytest

from convert.rules.tanh_to_gelu import RULE
from tests.convert.graphs import applied, assert_same_values, constant, graph, operators, parsed, reasons, run

CONSTANTS = (
    constant("k", values="{0.7978845608}"),
    constant("a", values="{0.044715}"),
    *(constant("one", values="{1}"), constant("half", values="{0.5}"), constant("three", values="{3}")),
)
GATE = "t = Tanh(u) g = Add(t, one) h = Mul(x, half) y = Mul(h, g)"
POWER = f"p = Pow(x, three) q = Mul(p, a) i = Add(x, q) u = Mul(i, k) {GATE}"
CUBICS = {
    "a power": POWER,
    "products": f"s = Mul(x, x) p = Mul(s, x) q = Mul(a, p) i = Add(x, q) u = Mul(k, i) {GATE}",
    "x before the bracket": (
        f"m = Mul(x, a) s = Mul(m, x) b = Add(s, one) n = Mul(x, k) u = Mul(n, b) {GATE}"
    ),
    "half last": POWER.replace("h = Mul(x, half) y = Mul(h, g)", "h = Mul(x, g) y = Mul(h, half)"),
}


@pytest.mark.parametrize("body", CUBICS.values(), ids=CUBICS.keys())
def test_gelu_by_tanh_written_out_is_gelu(body: str) -> None:
    text = graph(body, *CONSTANTS)
    optimised = applied(RULE, text)
    assert operators(optimised) == ["Gelu"]
    assert optimised.model.graph[0].attributes["approximate"].value == "tanh"
    assert_same_values(optimised, text)


def test_another_height_is_a_scale() -> None:
    text = graph(POWER.replace("Mul(x, half)", "Mul(x, three)"), *CONSTANTS)
    optimised = applied(RULE, text)
    assert operators(optimised) == ["Gelu", "Mul"]
    assert_same_values(optimised, text)


def test_numbers_that_are_not_finite_stay_what_they_were() -> None:
    text = graph(POWER, *CONSTANTS, x="float[N]", y="float[N]")
    x = np.array([np.nan, np.inf, -np.inf, 1e20, -1e20], np.float32)
    before, after = (run(model, {"x": x})["y"] for model in (parsed(text), applied(RULE, text).model))
    np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize(
    "body",
    [
        POWER.replace("Mul(i, k)", "Mul(i, half)"),
        POWER.replace("Pow(x, three)", "Pow(x, half)"),
        POWER.replace("Add(x, q)", "Sub(x, q)"),
        POWER.replace("Mul(h, g)", "Mul(k, g)"),
        POWER.replace("Tanh(u)", "Sigmoid(u)"),
    ],
)
def test_another_gate_stays(body: str) -> None:
    assert "Gelu" not in operators(applied(RULE, graph(body, *CONSTANTS)))


def test_it_declines_below_the_opset_that_has_gelu() -> None:
    optimised = applied(RULE, graph(POWER, *CONSTANTS).replace(": 20]", ": 19]"))
    assert not optimised.firings
    assert "the graph's opset has no Gelu" in reasons(optimised)
