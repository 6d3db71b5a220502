import pytest

from convert.rules.shift_past_pooling import RULE
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
from tests.convert.rules.test_scale_past_pooling import AXES, FLAT, POOLS

TURNED = "float[N,6,4,6]"


@pytest.mark.parametrize("pool", [*POOLS, "Flatten(s)", "Transpose<perm = [0,3,1,2]>(s)"])
@pytest.mark.parametrize("shift", ["Add(x, t)", "Add(t, x)", "Sub(x, t)"])
@pytest.mark.parametrize("shape", [(), (4, 1, 1)])
def test_the_shift_moves_past_the_pool(pool: str, shift: str, shape: tuple[int, ...]) -> None:
    output = POOLS.get(pool, FLAT if pool.startswith("Flatten") else TURNED)
    text = write_graph(f"s = {shift} y = {pool}", AXES, write_constant("t", *shape), y=output)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == [pool.partition("<")[0].partition("(")[0], "Add"]
    assert_same_values(optimised, text, make_samples().clip(-30, 30), tolerance=5e-6)


def test_it_declines_an_average_that_counts_its_padding() -> None:
    pool = "AveragePool<kernel_shape = [3,3], strides = [2,2], pads = [1,1,1,1], count_include_pad = 1>"
    optimised = apply_rule(RULE, write_graph(f"s = Add(x, t) y = {pool}(s)", write_constant("t"), y=HALVED))
    assert list_reasons(optimised) == ["a padded `AveragePool` counts zeros that are not shifted"]


def test_the_bias_of_a_matmul_stays_with_it() -> None:
    text = write_graph(
        "m = MatMul(x, w) s = Add(m, t) y = Flatten(s)",
        *(write_constant("w", 4, 4), write_constant("t", 4)),
        x="float[N,5,4]",
        y="float[N,20]",
    )
    assert not apply_rule(RULE, text).firings


@pytest.mark.parametrize("pool", ["AveragePool", "MaxPool"])
def test_it_declines_numbers_that_differ_within_a_window(pool: str) -> None:
    window = "<kernel_shape = [3,3], pads = [1,1,1,1]>"
    places = write_constant("t", 6, values="{1, 2, 3, 4, 5, 6}")
    optimised = apply_rule(RULE, write_graph(f"s = Add(x, t) y = {pool}{window}(s)", places))
    assert list_reasons(optimised) == [
        f"`{pool}` joins numbers to which different ones of the constant belong"
    ]
