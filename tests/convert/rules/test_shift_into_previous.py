import pytest

from convert.rules.shift_into_previous import RULE
from tests.convert.graphs import applied, assert_same_values, constant, graph, operators, reasons, samples
from tests.convert.rules.test_scale_into_previous import LAYERS, SHAPES, VARIANCE

CONV = "c = Conv<pads = [1,1,1,1]>(x, w)"
WITH_BIAS = [layer for layer in LAYERS if layer != "MatMul"]


@pytest.mark.parametrize("layer", WITH_BIAS)
@pytest.mark.parametrize("shift", ["Add(l, t)", "Add(t, l)", "Sub(l, t)"])
@pytest.mark.parametrize("granularity", ["one number", "one a channel"])
def test_the_shift_goes_into_the_bias(layer: str, shift: str, granularity: str) -> None:
    body, shapes, kind = LAYERS[layer]
    per_channel = (4, 1, 1) if kind == "float[N,4,6,6]" else (4,)
    addend = constant("t", *(per_channel if granularity == "one a channel" else ()))
    constants = [constant("w", *shapes[0]), constant("b", *shapes[1]), VARIANCE, addend]
    text = graph(f"{body} s = {shift} y = Relu(s)", *constants, x=kind, y=kind)
    optimised = applied(RULE, text)
    assert len(optimised.firings) == 1
    assert operators(optimised)[-1] == "Relu"
    assert_same_values(optimised, text, samples(SHAPES[kind]).clip(-30, 30), tolerance=1e-5)


def test_the_bias_of_a_matmul_is_left_to_it() -> None:
    text = graph(
        "m = MatMul(x, w) y = Add(m, b)",
        constant("w", 4, 4),
        constant("b", 4),
        x="float[N,5,4]",
        y="float[N,5,4]",
    )
    optimised = applied(RULE, text)
    assert operators(optimised) == ["MatMul", "Add"]
    assert reasons(optimised) == []


@pytest.mark.parametrize(
    ("body", "shape", "reason"),
    [
        (f"{CONV} a = Add(c, t) y = Mul(a, c)", (), "the output of `Conv` is read elsewhere too"),
        (f"{CONV} y = Add(c, t)", (6,), "a constant of shape [6] is not one number for each of 4 channels"),
        (
            "v = Exp(w) c = Conv<pads = [1,1,1,1]>(x, v) y = Add(c, t)",
            (),
            "the weights of `Conv` are not constant",
        ),
    ],
)
def test_it_declines(body: str, shape: tuple[int, ...], reason: str) -> None:
    optimised = applied(RULE, graph(body, constant("w", 4, 4, 3, 3), constant("t", *shape)))
    assert not optimised.firings
    assert reasons(optimised) == [reason]
