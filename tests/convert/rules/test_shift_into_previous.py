import pytest

from convert.rules.shift_into_previous import RULE
from tests.convert.graphs import (
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    make_samples,
    write_constant,
    write_graph,
)
from tests.convert.rules.test_scale_into_previous import LAYERS, SHAPES, VARIANCE

CONV = "c = Conv<pads = [1,1,1,1]>(x, w)"
WITH_BIAS = [layer for layer in LAYERS if layer != "MatMul"]


@pytest.mark.parametrize("layer", WITH_BIAS)
@pytest.mark.parametrize("shift", ["Add(l, t)", "Add(t, l)", "Sub(l, t)"])
@pytest.mark.parametrize("granularity", ["one number", "one a channel"])
def test_the_shift_goes_into_the_bias(layer: str, shift: str, granularity: str) -> None:
    body, shapes, kind = LAYERS[layer]
    per_channel = (4, 1, 1) if kind == "float[N,4,6,6]" else (4,)
    addend = write_constant("t", *(per_channel if granularity == "one a channel" else ()))
    constants = [write_constant("w", *shapes[0]), write_constant("b", *shapes[1]), VARIANCE, addend]
    text = write_graph(f"{body} s = {shift} y = Relu(s)", *constants, x=kind, y=kind)
    optimised = apply_rule(RULE, text)
    assert len(optimised.firings) == 1
    assert list_operators(optimised)[-1] == "Relu"
    assert_same_values(optimised, text, make_samples(SHAPES[kind]).clip(-30, 30), tolerance=1e-5)


def test_the_bias_of_a_matmul_is_left_to_it() -> None:
    text = write_graph(
        "m = MatMul(x, w) y = Add(m, b)",
        write_constant("w", 4, 4),
        write_constant("b", 4),
        x="float[N,5,4]",
        y="float[N,5,4]",
    )
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["MatMul", "Add"]
    assert list_reasons(optimised) == []


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
    optimised = apply_rule(
        RULE, write_graph(body, write_constant("w", 4, 4, 3, 3), write_constant("t", *shape))
    )
    assert not optimised.firings
    assert list_reasons(optimised) == [reason]
