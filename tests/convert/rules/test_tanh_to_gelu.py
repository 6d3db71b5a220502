import numpy as np
import pytest

from convert.rules.tanh_to_gelu import RULE
from tests.convert.graphs import (
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    parse_graph,
    run_graph,
    write_constant,
    write_graph,
)

CONSTANTS = (
    write_constant("k", values="{0.7978845608}"),
    write_constant("a", values="{0.044715}"),
    *(
        write_constant("one", values="{1}"),
        write_constant("half", values="{0.5}"),
        write_constant("three", values="{3}"),
    ),
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
    text = write_graph(body, *CONSTANTS)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Gelu"]
    assert optimised.model.graph[0].attributes["approximate"].value == "tanh"
    assert_same_values(optimised, text)


def test_another_height_is_a_scale() -> None:
    text = write_graph(POWER.replace("Mul(x, half)", "Mul(x, three)"), *CONSTANTS)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Gelu", "Mul"]
    assert_same_values(optimised, text)


def test_numbers_that_are_not_finite_stay_what_they_were() -> None:
    text = write_graph(POWER, *CONSTANTS, x="float[N]", y="float[N]")
    x = np.array([np.nan, np.inf, -np.inf, 1e20, -1e20], np.float32)
    before, after = (
        run_graph(model, {"x": x})["y"] for model in (parse_graph(text), apply_rule(RULE, text).model)
    )
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
    assert "Gelu" not in list_operators(apply_rule(RULE, write_graph(body, *CONSTANTS)))


def test_it_declines_below_the_opset_that_has_gelu() -> None:
    optimised = apply_rule(RULE, write_graph(POWER, *CONSTANTS).replace(": 20]", ": 19]"))
    assert not optimised.firings
    assert "the graph's opset has no Gelu" in list_reasons(optimised)
