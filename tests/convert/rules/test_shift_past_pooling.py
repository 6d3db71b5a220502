import pytest

from convert.rules.shift_past_pooling import RULE
from tests.convert.graphs import (
    HALVED,
    applied,
    assert_same_values,
    constant,
    graph,
    operators,
    reasons,
    samples,
)
from tests.convert.rules.test_scale_past_pooling import AXES, FLAT, POOLS

TURNED = "float[N,6,4,6]"


@pytest.mark.parametrize("pool", [*POOLS, "Flatten(s)", "Transpose<perm = [0,3,1,2]>(s)"])
@pytest.mark.parametrize("shift", ["Add(x, t)", "Add(t, x)", "Sub(x, t)"])
@pytest.mark.parametrize("shape", [(), (4, 1, 1)])
def test_the_shift_moves_past_the_pool(pool: str, shift: str, shape: tuple[int, ...]) -> None:
    output = POOLS.get(pool, FLAT if pool.startswith("Flatten") else TURNED)
    text = graph(f"s = {shift} y = {pool}", AXES, constant("t", *shape), y=output)
    optimised = applied(RULE, text)
    assert operators(optimised) == [pool.partition("<")[0].partition("(")[0], "Add"]
    assert_same_values(optimised, text, samples().clip(-30, 30), tolerance=5e-6)


def test_it_declines_an_average_that_counts_its_padding() -> None:
    pool = "AveragePool<kernel_shape = [3,3], strides = [2,2], pads = [1,1,1,1], count_include_pad = 1>"
    optimised = applied(RULE, graph(f"s = Add(x, t) y = {pool}(s)", constant("t"), y=HALVED))
    assert reasons(optimised) == ["a padded `AveragePool` counts zeros that are not shifted"]


def test_the_bias_of_a_matmul_stays_with_it() -> None:
    text = graph(
        "m = MatMul(x, w) s = Add(m, t) y = Flatten(s)",
        *(constant("w", 4, 4), constant("t", 4)),
        x="float[N,5,4]",
        y="float[N,20]",
    )
    assert not applied(RULE, text).firings
