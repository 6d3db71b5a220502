import pytest

from convert.rules.shift_into_next import RULE
from tests.convert.graphs import (
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    make_samples,
    write_constant,
    write_graph,
)
from tests.convert.rules.test_scale_into_next import STATISTICS

LAYERS = {
    "Conv": ("Conv(s, w, b)", (4, 4, 1, 1), (3, 4, 6, 6)),
    "grouped Conv": ("Conv<group = 2>(s, w, b)", (4, 2, 1, 1), (3, 4, 6, 6)),
    "Gemm": ("Gemm(s, w, b)", (4, 4), (5, 4)),
    "transposed Gemm": ("Gemm<transB = 1, alpha = 0.5, beta = 2.0>(s, w, b)", (4, 4), (5, 4)),
    "BatchNormalization": ("BatchNormalization<epsilon = 0.25>(s, b, b, m, v)", (4, 4), (3, 4, 6, 6)),
}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("shift", ["Add(r, t)", "Add(t, r)", "Sub(r, t)"])
@pytest.mark.parametrize("granularity", ["one number", "one a channel"])
def test_the_shift_goes_into_the_bias(layer: str, shift: str, granularity: str) -> None:
    call, weight, shape = LAYERS[layer]
    kind = f"float[N,{','.join(map(str, shape[1:]))}]"
    per_channel = (4, 1, 1) if len(shape) == 4 else (4,)
    addend = write_constant("t", *(per_channel if granularity == "one a channel" else ()))
    text = write_graph(
        f"r = Tanh(x) s = {shift} y = {call}",
        write_constant("w", *weight),
        *STATISTICS,
        addend,
        x=kind,
        y=kind,
    )
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Tanh", call.partition("<")[0].partition("(")[0]]
    assert_same_values(optimised, text, make_samples(shape), tolerance=5e-6)


def test_it_fires_before_an_unpadded_convolution_of_any_kernel() -> None:
    text = write_graph(
        "s = Add(x, t) y = Conv(s, w)",
        write_constant("w", 4, 4, 3, 3),
        write_constant("t"),
        y="float[N,4,4,4]",
    )
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Conv"]
    assert_same_values(optimised, text, make_samples().clip(-30, 30), tolerance=1e-5)


PADDED = "a shift before a padded `Conv` differs at the border, where the padding is not shifted"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("s = Add(x, t) y = Conv<pads = [1,1,1,1]>(s, w)", PADDED),
        ('s = Add(x, t) y = Conv<auto_pad = "SAME_UPPER">(s, w)', PADDED),
        (
            "s = Add(x, t) c = Conv<pads = [1,1,1,1]>(s, w) y = Add(c, s)",
            "the shifted value is an output of the graph or is read elsewhere too",
        ),
        (
            "v = Exp(w) s = Add(x, t) y = Conv<pads = [1,1,1,1]>(s, v)",
            "the weights of `Conv` are not constant",
        ),
    ],
)
def test_it_declines(body: str, reason: str) -> None:
    optimised = apply_rule(RULE, write_graph(body, write_constant("w", 4, 4, 3, 3), write_constant("t")))
    assert not optimised.firings
    assert reason in list_reasons(optimised)


def test_it_declines_before_a_transposed_convolution() -> None:
    text = write_graph(
        "s = Add(x, t) y = ConvTranspose(s, w)", write_constant("w", 4, 4, 1, 1), write_constant("t")
    )
    assert list_reasons(apply_rule(RULE, text)) == [
        "a shift before `ConvTranspose` reaches its outputs unequally often"
    ]


THREE = "float[N,5,4]"


@pytest.mark.parametrize("bias", ["Add(m, b)", "Add(b, m)"])
@pytest.mark.parametrize("addend", [(), (4,)])
def test_the_shift_goes_into_the_bias_behind_a_matmul(bias: str, addend: tuple[int, ...]) -> None:
    constants = write_constant("w", 4, 4), write_constant("t", *addend), write_constant("b", 4)
    text = write_graph(f"r = Tanh(x) s = Add(r, t) m = MatMul(s, w) y = {bias}", *constants, x=THREE, y=THREE)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Tanh", "MatMul", "Add"]
    assert_same_values(optimised, text, make_samples((2, 5, 4)))


@pytest.mark.parametrize(
    ("after", "bias", "reason"),
    [
        ("y = MatMul(s, w)", (4,), "`MatMul` has no bias that a shift could go into"),
        ("m = MatMul(s, w) y = Add(m, x)", (4,), "`MatMul` has no bias that a shift could go into"),
        (
            "m = MatMul(s, w) y = Add(m, b)",
            (5, 4),
            "what is added after `MatMul` is not a bias, one number a channel",
        ),
    ],
)
def test_it_declines_before_a_matmul_without_a_bias(after: str, bias: tuple[int, ...], reason: str) -> None:
    constants = write_constant("w", 4, 4), write_constant("t"), write_constant("b", *bias)
    text = write_graph(f"r = Tanh(x) s = Add(r, t) {after}", *constants, x=THREE, y=THREE)
    assert list_reasons(apply_rule(RULE, text)) == [reason]
