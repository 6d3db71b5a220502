import pytest

from convert.rules.batchnorm_into_next import RULE
from tests.convert.graphs import (
    IMAGE,
    ROWS,
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    make_samples,
    write_constant,
    write_graph,
)

STATISTICS = (
    *(write_constant("g", 4, values="{1.5, -0.5, 1, 2}"), write_constant("t", 4), write_constant("m", 4)),
    write_constant("v", 4, values="{1, 0.5, 2, 0.25}"),
)
NORMAL, B = "n = BatchNormalization<epsilon = 0.001>(x, g, t, m, v)", write_constant("b", 4)


@pytest.mark.parametrize(
    ("layer", "weights", "kind", "out"),
    [
        ("Conv(n, w, b)", (4, 4, 3, 3), IMAGE, "float[N,4,4,4]"),
        ("Conv<group = 2>(n, w)", (4, 2, 1, 1), IMAGE, IMAGE),
        ("Conv(n, w, b)", (4, 4, 3), "float[N,4,6]", "float[N,4,4]"),
        ("Gemm<transB = 1>(n, w, b)", (4, 4), ROWS, ROWS),
        ("BatchNormalization(n, b, b, b, v)", (4,), IMAGE, IMAGE),
    ],
)
def test_the_layer_after_takes_the_normalisation(
    layer: str, weights: tuple[int, ...], kind: str, out: str
) -> None:
    text = write_graph(f"{NORMAL} y = {layer}", write_constant("w", *weights), B, *STATISTICS, x=kind, y=out)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == [layer.partition("<")[0].partition("(")[0]]
    shape = {IMAGE: (3, 4, 6, 6), ROWS: (3, 4), "float[N,4,6]": (3, 4, 6)}[kind]
    assert_same_values(optimised, text, make_samples(shape).clip(-30, 30), tolerance=5e-6)


PADDED = "a shift before a padded `Conv` differs at the border, where the padding is not shifted"
ELSEWHERE = "the normalised value is an output of the graph or is read elsewhere too"
OTHERS = "`MatMul` reads other channels than those that are normalised"


@pytest.mark.parametrize(
    ("body", "weights", "reason"),
    [
        (f"{NORMAL} y = Conv<pads = [1,1,1,1]>(n, w)", (4, 4, 3, 3), PADDED),
        (f"{NORMAL} c = Conv(n, w) y = Add(n, c)", (4, 4, 1, 1), ELSEWHERE),
        (f"{NORMAL} y = MatMul(n, w)", (6, 6), OTHERS),
    ],
)
def test_it_declines(body: str, weights: tuple[int, ...], reason: str) -> None:
    assert list_reasons(apply_rule(RULE, write_graph(body, write_constant("w", *weights), *STATISTICS))) == [
        reason
    ]
