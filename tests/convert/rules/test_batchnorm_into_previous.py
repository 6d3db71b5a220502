import numpy as np
import pytest

from convert.rules.batchnorm_into_previous import RULE
from tests.convert.graphs import (
    IMAGE,
    ROWS,
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    make_samples,
    parse_graph,
    run_graph,
    write_constant,
    write_graph,
)

STATISTICS = (
    *(write_constant("g", 4, values="{1.5, -0.5, 1, 2}"), write_constant("t", 4), write_constant("m", 4)),
    write_constant("v", 4, values="{1, 0.5, 2, 0.25}"),
)
NORMAL = "BatchNormalization<epsilon = 0.001>(c, g, t, m, v)"
B, SERIES = write_constant("b", 4), "float[N,4,6]"
LAYERS = {
    "Conv<pads = [1,1,1,1]>(x, w, b)": ((4, 4, 3, 3), IMAGE),
    "Conv<pads = [1,1,1,1]>(x, w)": ((4, 4, 3, 3), IMAGE),
    "Conv<group = 4, pads = [1,1,1,1]>(x, w, b)": ((4, 1, 3, 3), IMAGE),
    "Conv<pads = [1,1]>(x, w, b)": ((4, 4, 3), SERIES),
    "ConvTranspose<pads = [1,1,1,1]>(x, w, b)": ((4, 4, 3, 3), IMAGE),
    "Gemm(x, w, b)": ((4, 4), ROWS),
    "Gemm<transB = 1>(x, w)": ((4, 4), ROWS),
    "BatchNormalization(x, b, b, b, v)": ((4,), IMAGE),
    "InstanceNormalization(x, g, b)": ((4,), IMAGE),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_the_layer_before_takes_the_normalisation(layer: str) -> None:
    weights, kind = LAYERS[layer]
    text = write_graph(
        f"c = {layer} y = {NORMAL}", write_constant("w", *weights), B, *STATISTICS, x=kind, y=kind
    )
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == [layer.partition("<")[0].partition("(")[0]]
    shape = {IMAGE: (3, 4, 6, 6), ROWS: (3, 4), SERIES: (3, 4, 6)}[kind]
    assert_same_values(optimised, text, make_samples(shape).clip(-30, 30), tolerance=5e-6)


@pytest.mark.parametrize("groups", [2, 4])
def test_a_grouped_transposed_convolution_takes_it_too(groups: int) -> None:
    """ONNX's own evaluator cannot run one with groups, so ONNX Runtime is compared with itself."""
    layer = f"ConvTranspose<group = {groups}, pads = [1,1,1,1]>(x, w)"
    text = write_graph(f"c = {layer} y = {NORMAL}", write_constant("w", 4, 4 // groups, 3, 3), *STATISTICS)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["ConvTranspose"]
    x = make_samples().clip(-30, 30)
    before, after = (run_graph(model, {"x": x})["y"] for model in (parse_graph(text), optimised.model))
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-4)


COMPUTED = "the weights of `Conv` are not constant"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (f"c = Conv(x, w, b) n = {NORMAL} y = Add(n, c)", "the output of `Conv` is read elsewhere too"),
        (f"k = Identity(w) c = Conv(x, k, b) y = {NORMAL}", COMPUTED),
        (f"s = Identity(g) c = Conv(x, w, b) y = {NORMAL.replace('c, g', 'c, s')}", "the weights of"),
    ],
)
def test_it_declines(body: str, reason: str) -> None:
    optimised = apply_rule(RULE, write_graph(body, write_constant("w", 4, 4, 1, 1), B, *STATISTICS))
    assert [one.startswith(reason) for one in list_reasons(optimised)] == [True]


def test_it_declines_where_the_channels_are_not_those_of_the_layer() -> None:
    layer = "LayerNormalization<axis = -1>(x, w, w)"
    text = write_graph(
        f"c = {layer} y = {NORMAL}", write_constant("w", 4), *STATISTICS, x="float[N,4,4]", y="float[N,4,4]"
    )
    assert list_reasons(apply_rule(RULE, text)) == [
        "`LayerNormalization` writes other channels than those that are normalised"
    ]
