import pytest

from convert.rules.scale_past_pooling import RULE
from tests.convert.graphs import (
    HALVED,
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    make_samples,
    write_constant,
    write_graph,
)

ONE, FLAT = "float[N,4,1,1]", "float[N,144]"
AXES = "int64[2] a = {-1, -2}"
POOLS = {
    "MaxPool<kernel_shape = [2,2], strides = [2,2]>(s)": HALVED,
    "AveragePool<kernel_shape = [2,2], strides = [2,2]>(s)": HALVED,
    "AveragePool<kernel_shape = [3,3], strides = [2,2], pads = [1,1,1,1]>(s)": HALVED,
    "GlobalAveragePool(s)": ONE,
    "GlobalMaxPool(s)": ONE,
    "ReduceMean(s, a)": ONE,
}
POSITIVE = "{0.5, 2, 3, 0.25}"


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("scale", ["Mul(x, f)", "Mul(f, x)", "Div(x, f)"])
@pytest.mark.parametrize(
    "factor", [write_constant("f", values="{2.5}"), write_constant("f", 4, 1, 1, values=POSITIVE)]
)
def test_the_scale_moves_past_the_pool(pool: str, scale: str, factor: str) -> None:
    text = write_graph(f"s = {scale} y = {pool}", AXES, factor, y=POOLS[pool])
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == [pool.partition("<")[0].partition("(")[0], "Mul"]
    assert_same_values(optimised, text, make_samples().clip(-30, 30))


@pytest.mark.parametrize("call", ["Flatten(s)", "Reshape(s, d)"])
def test_one_number_moves_past_a_change_of_shape(call: str) -> None:
    text = write_graph(
        f"s = Mul(x, f) y = {call}", "int64[2] d = {0, -1}", write_constant("f", 1, values="{-2.5}"), y=FLAT
    )
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == [call.partition("(")[0], "Mul"]
    assert_same_values(optimised, text)


def test_an_average_takes_a_negative_scale_along() -> None:
    text = write_graph("s = Mul(x, f) y = GlobalAveragePool(s)", write_constant("f", 4, 1, 1), y=ONE)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["GlobalAveragePool", "Mul"]
    assert_same_values(optimised, text, make_samples().clip(-30, 30))


@pytest.mark.parametrize(
    ("call", "output"),
    [
        ("Flatten(s)", FLAT),
        ("Reshape(s, d)", FLAT),
        ("Transpose<perm = [0,2,3,1]>(s)", "float[N,6,6,4]"),
        ("Identity(s)", "float[N,4,6,6]"),
    ],
)
def test_a_scale_a_channel_follows_its_channels(call: str, output: str) -> None:
    rows = "int64[2] d = {0, -1}"
    text = write_graph(f"s = Mul(x, f) y = {call}", rows, write_constant("f", 4, 1, 1), y=output)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == [call.partition("<")[0].partition("(")[0], "Mul"]
    assert_same_values(optimised, text)


MAXIMUM = "`MaxPool` commutes with a scale above 0 only"
CHANNELS = "`Flatten` moves the channels that the scale belongs to"
MEAN = "`ReduceMean` averages over the channels that the scale belongs to, or drops the axes beside them"


@pytest.mark.parametrize(
    ("call", "output", "factor", "reason"),
    [
        (
            "MaxPool<kernel_shape = [2,2], strides = [2,2]>(s)",
            HALVED,
            write_constant("f", values="{-1}"),
            MAXIMUM,
        ),
        ("MaxPool<kernel_shape = [2,2], strides = [2,2]>(s)", HALVED, write_constant("f", 4, 1, 1), MAXIMUM),
        (
            "MaxPool<kernel_shape = [2,2], strides = [2,2]>(s)",
            HALVED,
            write_constant("f", values="{0}"),
            MAXIMUM,
        ),
        ("Flatten<axis = 2>(s)", "float[M,36]", write_constant("f", 4, 1, 1), CHANNELS),
        ("ReduceMean<keepdims = 0>(s, a)", "float[N,4]", write_constant("f", 4, 1, 1), MEAN),
        ("ReduceMean(s, c)", "float[N,1,6,6]", write_constant("f", 4, 1, 1), MEAN),
    ],
)
def test_it_declines(call: str, output: str, factor: str, reason: str) -> None:
    optimised = apply_rule(
        RULE, write_graph(f"s = Mul(x, f) y = {call}", AXES, "int64[1] c = {1}", factor, y=output)
    )
    assert not optimised.firings
    assert list_reasons(optimised) == [reason]


@pytest.mark.parametrize("pool", ["AveragePool", "MaxPool"])
def test_it_declines_numbers_that_differ_within_a_window(pool: str) -> None:
    window = "<kernel_shape = [3,3], pads = [1,1,1,1]>"
    places = write_constant("f", 6, values="{1, 2, 3, 4, 5, 6}")
    optimised = apply_rule(RULE, write_graph(f"s = Mul(x, f) y = {pool}{window}(s)", places))
    assert list_reasons(optimised) == [
        f"`{pool}` joins numbers to which different ones of the constant belong"
    ]
