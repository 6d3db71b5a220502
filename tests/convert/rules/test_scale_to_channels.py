import pytest

from convert.rules.scale_to_channels import RULE
from tests.convert.graphs import (
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    make_samples,
    write_constant,
    write_graph,
)

CONV = "Conv<pads = [1,1,1,1]>"
WEIGHTS, SCALE = write_constant("w", 4, 4, 3, 3), write_constant("s", values="{1.25}")


@pytest.mark.parametrize("form", ["m = Mul(c, s)", "m = Mul(s, c)", "m = Neg(c)"])
def test_one_number_becomes_one_a_channel(form: str) -> None:
    text = write_graph(f"c = {CONV}(x, w) {form} t = Tanh(m) p = Mul(t, c) y = {CONV}(p, w)", WEIGHTS, SCALE)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Conv", "Mul", "Tanh", "Mul", "Conv"]
    (spread,) = (v for name, v in optimised.model.graph.initializers.items() if name.endswith(".scale"))
    assert spread.shape is not None
    assert list(spread.shape) == [4, 1, 1]
    assert_same_values(optimised, text, make_samples().clip(-3, 3), tolerance=1e-5)


def test_it_spreads_where_some_of_its_readers_keep_the_layout() -> None:
    back = "e = Exp(m) d = Conv<group = 4>(e, u) r = Relu(m) a = Add(d, r)"
    text = write_graph(
        f"c = {CONV}(x, w) m = Mul(c, s) {back} y = {CONV}(a, w)",
        WEIGHTS,
        SCALE,
        write_constant("u", 4, 1, 1, 1),
    )
    assert len(apply_rule(RULE, text).firings) == 1


@pytest.mark.parametrize(
    "other",
    [
        f"m = Mul(x, s) y = {CONV}(m, w)",
        f"c = {CONV}(x, w) m = Mul(c, s) y = Exp(m)",
        f"c = {CONV}(x, w) m = Mul(c, s) r = Relu(m) e = Exp(m) y = Sub(e, r)",
    ],
)
def test_it_leaves_what_is_not_between_convolutions(other: str) -> None:
    assert not apply_rule(RULE, write_graph(other, WEIGHTS, SCALE)).firings


def test_it_declines_the_steepness_of_a_gate() -> None:
    body = f"c = {CONV}(x, w) m = Mul(c, s) g = Sigmoid(m) p = Mul(c, g) y = {CONV}(p, w)"
    optimised = apply_rule(RULE, write_graph(body, WEIGHTS, SCALE))
    assert list_reasons(optimised) == ["`x · Sigmoid(s · x)` is one operator to ONNX Runtime"]
    assert not optimised.firings
