import pytest

from convert.rules.scale_into_previous import RULE
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

SEQUENCE = "float[N,5,4]"
LAYERS = {
    "Conv": ("l = Conv<pads = [1,1,1,1]>(x, w, b)", [(4, 4, 3, 3), (4,)], "float[N,4,6,6]"),
    "Conv without bias": ("l = Conv<pads = [1,1,1,1]>(x, w)", [(4, 4, 3, 3), (4,)], "float[N,4,6,6]"),
    "grouped Conv": (
        "l = Conv<pads = [1,1,1,1], group = 2>(x, w, b)",
        [(4, 2, 3, 3), (4,)],
        "float[N,4,6,6]",
    ),
    "Gemm": ("l = Gemm(x, w, b)", [(4, 4), (4,)], ROWS),
    "transposed Gemm": ("l = Gemm<transB = 1, alpha = 0.5, beta = 2.0>(x, w, b)", [(4, 4), (4,)], ROWS),
    "MatMul": ("l = MatMul(x, w)", [(4, 4), (4,)], SEQUENCE),
    "MatMul and Add": ("m = MatMul(x, w) l = Add(b, m)", [(4, 4), (4,)], SEQUENCE),
    "BatchNormalization": (
        "l = BatchNormalization(x, b, b, b, v)",
        [(4, 4), (4,)],
        "float[N,4,6,6]",
    ),
    "ConvTranspose": (
        "l = ConvTranspose<pads = [1,1,1,1]>(x, w, b)",
        [(4, 4, 3, 3), (4,)],
        "float[N,4,6,6]",
    ),
    "InstanceNormalization": ("l = InstanceNormalization(x, b, b)", [(4, 4), (4,)], "float[N,4,6,6]"),
    "LayerNormalization": ("l = LayerNormalization(x, b, b)", [(4, 4), (4,)], SEQUENCE),
    "LayerNormalization without bias": ("l = LayerNormalization<axis = 2>(x, b)", [(4, 4), (4,)], SEQUENCE),
}
VARIANCE = write_constant("v", 4, values="{0.5, 1, 2, 3}")
SHAPES = {"float[N,4,6,6]": (3, 4, 6, 6), ROWS: (5, 4), SEQUENCE: (2, 5, 4)}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("scale", ["Mul(l, s)", "Mul(s, l)", "Div(l, s)"])
@pytest.mark.parametrize("granularity", ["one number", "one a channel"])
def test_the_scale_goes_into_the_weights(layer: str, scale: str, granularity: str) -> None:
    body, shapes, kind = LAYERS[layer]
    per_channel = (4, 1, 1) if kind == "float[N,4,6,6]" else (4,)
    factor = write_constant("s", *(per_channel if granularity == "one a channel" else ()))
    constants = [write_constant("w", *shapes[0]), write_constant("b", *shapes[1]), VARIANCE, factor]
    text = write_graph(f"{body} y = {scale}", *constants, x=kind, y=kind)
    optimised = apply_rule(RULE, text)
    assert (
        list_operators(optimised)
        == list_operators(apply_rule(RULE, write_graph(f"{body} y = Relu(l)", *constants, x=kind, y=kind)))[
            :-1
        ]
    )
    x = make_samples(SHAPES[kind]).clip(-30, 30)
    assert_same_values(optimised, text, x, tolerance=2e-5 if scale.startswith("Div") else 1e-5)


CONV = "c = Conv<pads = [1,1,1,1]>(x, w)"


@pytest.mark.parametrize(
    ("body", "factor", "reason"),
    [
        (f"{CONV} m = Mul(c, s) y = Add(m, c)", "{0.5}", "the output of `Conv` is read elsewhere too"),
        (f"{CONV} m = Mul(c, s) y = Mul(m, c)", "{0.5}", "the output of `Conv` is read elsewhere too"),
        (f"{CONV} y = Mul(c, s)", "{1e38}", "the scaled weights of `Conv` leave the range of float32"),
        (f"{CONV} y = Mul(c, s)", "{1e-38}", "the scaled weights of `Conv` leave the range of float32"),
    ],
)
def test_it_declines(body: str, factor: str, reason: str) -> None:
    weight = write_constant("w", 4, 4, 3, 3, values=f"{{{', '.join(['40.5'] * 143)}, 0.001}}")
    optimised = apply_rule(RULE, write_graph(body, weight, write_constant("s", values=factor)))
    assert not optimised.firings
    assert list_reasons(optimised) == [reason]


def test_it_declines_weights_that_are_computed() -> None:
    text = write_graph(
        "v = Exp(w) c = Conv<pads = [1,1,1,1]>(x, v) y = Mul(c, s)",
        write_constant("w", 4, 4, 3, 3),
        write_constant("s"),
    )
    assert list_reasons(apply_rule(RULE, text)) == ["the weights of `Conv` are not constant"]


def test_it_declines_a_layer_normalization_over_several_axes() -> None:
    text = write_graph(
        "l = LayerNormalization<axis = 1>(x, w) y = Mul(l, s)",
        *(write_constant("w", 5, 4), write_constant("s")),
        x=SEQUENCE,
        y=SEQUENCE,
    )
    assert list_reasons(apply_rule(RULE, text)) == [
        "`LayerNormalization` over several axes has a scale for each of their places"
    ]


def test_it_declines_a_scale_along_another_axis() -> None:
    text = write_graph(f"{CONV} y = Mul(c, s)", write_constant("w", 4, 4, 3, 3), write_constant("s", 6))
    assert list_reasons(apply_rule(RULE, text)) == [
        "a constant of shape [6] is not one number for each of 4 channels"
    ]


def test_shared_weights_are_scaled_for_one_layer_only() -> None:
    text = write_graph(
        f"{CONV} m = Mul(c, s) y = Conv<pads = [1,1,1,1]>(m, w)",
        write_constant("w", 4, 4, 3, 3),
        write_constant("s"),
    )
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Conv", "Conv"]
    assert_same_values(optimised, text, make_samples().clip(-30, 30), tolerance=1e-5)
