import pytest

from convert.rules.scale_into_next import RULE
from tests.convert.graphs import (
    ROWS,
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    make_samples,
    write_constant,
    write_graph,
)

LAYERS = {
    "Conv": ("Conv<pads = [1,1,1,1]>(s, w, b)", (4, 4, 3, 3), (3, 4, 6, 6)),
    "Conv without bias": ("Conv<pads = [1,1,1,1]>(s, w)", (4, 4, 3, 3), (3, 4, 6, 6)),
    "grouped Conv": ("Conv<pads = [1,1,1,1], group = 2>(s, w, b)", (4, 2, 3, 3), (3, 4, 6, 6)),
    "depthwise Conv": ("Conv<pads = [1,1,1,1], group = 4>(s, w, b)", (4, 1, 3, 3), (3, 4, 6, 6)),
    "ConvTranspose": ("ConvTranspose<pads = [1,1,1,1]>(s, w, b)", (4, 4, 3, 3), (3, 4, 6, 6)),
    "Gemm": ("Gemm(s, w, b)", (4, 4), (5, 4)),
    "transposed Gemm": ("Gemm<transB = 1, alpha = 0.5, beta = 2.0>(s, w, b)", (4, 4), (5, 4)),
    "MatMul": ("MatMul(s, w)", (4, 4), (2, 5, 4)),
    "BatchNormalization": ("BatchNormalization<epsilon = 0.25>(s, b, b, m, v)", (4, 4), (3, 4, 6, 6)),
}
STATISTICS = [write_constant("m", 4), write_constant("v", 4, values="{0.5, 1, 2, 3}"), write_constant("b", 4)]


def _kind(shape: tuple[int, ...]) -> str:
    return f"float[N,{','.join(map(str, shape[1:]))}]"


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("scale", ["Mul(r, f)", "Mul(f, r)", "Div(r, f)"])
@pytest.mark.parametrize("granularity", ["one number", "one a channel"])
def test_the_scale_goes_into_the_weights(layer: str, scale: str, granularity: str) -> None:
    call, weight, shape = LAYERS[layer]
    per_channel = (4, 1, 1) if len(shape) == 4 else (4,)
    factor = write_constant("f", *(per_channel if granularity == "one a channel" else ()))
    body = f"r = Tanh(x) s = {scale} y = {call}"
    text = write_graph(
        body, write_constant("w", *weight), *STATISTICS, factor, x=_kind(shape), y=_kind(shape)
    )
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Tanh", call.partition("<")[0].partition("(")[0]]
    assert_same_values(
        optimised, text, make_samples(shape), tolerance=2e-5 if scale.startswith("Div") else 5e-6
    )


CONV = "Conv<pads = [1,1,1,1]>"


@pytest.mark.parametrize(
    ("body", "shape", "reason"),
    [
        (
            f"s = Mul(x, f) c = {CONV}(s, w) y = Add(c, s)",
            (),
            "the scaled value is an output of the graph or is read elsewhere too",
        ),
        (
            f"s = Mul(x, f) y = {CONV}(s, w)",
            (6,),
            "a constant of shape [6] is not one number for each of 4 channels",
        ),
        (f"v = Exp(w) s = Mul(x, f) y = {CONV}(s, v)", (), "the weights of `Conv` are not constant"),
    ],
)
def test_it_declines(body: str, shape: tuple[int, ...], reason: str) -> None:
    optimised = apply_rule(
        RULE, write_graph(body, write_constant("w", 4, 4, 3, 3), write_constant("f", *shape))
    )
    assert not optimised.firings
    assert list_reasons(optimised) == [reason]


def test_it_declines_before_a_normalization_by_the_deviation() -> None:
    kind = "float[N,5,4]"
    text = write_graph("s = Mul(x, f) y = LayerNormalization(s, f)", write_constant("f", 4), x=kind, y=kind)
    assert list_reasons(apply_rule(RULE, text)) == [
        "`LayerNormalization` divides its input by its own deviation, and epsilon with it"
    ]


def test_it_declines_where_the_scaled_value_is_an_output() -> None:
    text = write_graph(
        f"s = Mul(x, f) y = {CONV}(s, w)", write_constant("w", 4, 4, 3, 3), write_constant("f")
    )
    text = text.replace("(float[N,4,6,6] y)", "(float[N,4,6,6] y, float[N,4,6,6] s)")
    assert list_reasons(apply_rule(RULE, text)) == [
        "the scaled value is an output of the graph or is read elsewhere too"
    ]


def test_it_declines_a_gemm_that_transposes_its_input() -> None:
    text = write_graph(
        "s = Mul(x, f) y = Gemm<transA = 1>(s, w)",
        write_constant("w", 4, 4),
        write_constant("f"),
        x="float[4,4]",
        y="float[4,4]",
    )
    assert list_reasons(apply_rule(RULE, text)) == [
        "`Gemm` reads its input transposed, so its channels are rows"
    ]


def test_it_declines_where_the_bias_is_switched_off() -> None:
    text = write_graph(
        "s = Mul(x, f) y = Gemm<beta = 0.0>(s, w, b)",
        write_constant("w", 4, 4),
        *STATISTICS,
        write_constant("f"),
        x=ROWS,
        y=ROWS,
    )
    assert list_reasons(apply_rule(RULE, text)) == ["`Gemm` multiplies its bias by zero"]


def test_a_scale_of_the_weights_is_not_one_of_the_input() -> None:
    text = write_graph(
        "s = Mul(r, f) r = Relu(x) y = MatMul(w, s)",
        write_constant("w", 4, 4),
        write_constant("f"),
        x="float[4,4]",
        y="float[4,4]",
    )
    optimised = apply_rule(RULE, text.replace("s = Mul(r, f) r = Relu(x)", "r = Relu(x) s = Mul(r, f)"))
    assert list_operators(optimised) == ["Relu", "Mul", "MatMul"]
