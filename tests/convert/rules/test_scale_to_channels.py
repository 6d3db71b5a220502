import pytest

from convert.rules.scale_to_channels import RULE
from tests.convert.graphs import applied, assert_same_values, constant, graph, operators, reasons, samples

CONV = "Conv<pads = [1,1,1,1]>"
WEIGHTS, SCALE = constant("w", 4, 4, 3, 3), constant("s", values="{1.25}")


@pytest.mark.parametrize("form", ["m = Mul(c, s)", "m = Mul(s, c)", "m = Neg(c)"])
def test_one_number_becomes_one_a_channel(form: str) -> None:
    text = graph(f"c = {CONV}(x, w) {form} t = Tanh(m) p = Mul(t, c) y = {CONV}(p, w)", WEIGHTS, SCALE)
    optimised = applied(RULE, text)
    assert operators(optimised) == ["Conv", "Mul", "Tanh", "Mul", "Conv"]
    (spread,) = (v for name, v in optimised.model.graph.initializers.items() if name.endswith(".scale"))
    assert spread.shape is not None
    assert list(spread.shape) == [4, 1, 1]
    assert_same_values(optimised, text, samples().clip(-3, 3), tolerance=1e-5)


@pytest.mark.parametrize(
    "other", [f"m = Mul(x, s) y = {CONV}(m, w)", f"c = {CONV}(x, w) m = Mul(c, s) y = Exp(m)"]
)
def test_it_leaves_what_is_not_between_convolutions(other: str) -> None:
    assert not applied(RULE, graph(other, WEIGHTS, SCALE)).firings


def test_it_declines_the_steepness_of_a_gate() -> None:
    body = f"c = {CONV}(x, w) m = Mul(c, s) g = Sigmoid(m) p = Mul(c, g) y = {CONV}(p, w)"
    optimised = applied(RULE, graph(body, WEIGHTS, SCALE))
    assert reasons(optimised) == ["`x · Sigmoid(s · x)` is one operator to ONNX Runtime"]
    assert not optimised.firings
