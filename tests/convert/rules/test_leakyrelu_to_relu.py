import pytest

from convert.rules.leakyrelu_to_relu import RULE
from tests.convert.graphs import (
    apply_rule,
    assert_same_values,
    list_operators,
    list_reasons,
    make_samples,
    write_constant,
    write_graph,
)

CONV = "Conv<pads = [1,1,1,1]>"
WEIGHTS = write_constant("w", 4, 4, 3, 3)


@pytest.mark.parametrize("slope", [0.1, -0.5, 2.0])
def test_after_a_residual_sum_it_stays_in_the_layout(slope: float) -> None:
    body = (
        f"c = {CONV}(x, w) d = {CONV}(c, w) s = Add(c, d) l = LeakyRelu<alpha = {slope}>(s) y = {CONV}(l, w)"
    )
    text = write_graph(body, WEIGHTS)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Conv", "Conv", "Add", "Relu", "Mul", "Mul", "Add", "Conv"]
    assert_same_values(optimised, text, make_samples().clip(-3, 3), tolerance=5e-5)


@pytest.mark.parametrize(
    "body",
    [
        f"c = {CONV}(x, w) l = LeakyRelu(c) y = {CONV}(l, w)",  # a part of the convolution
        f"l = LeakyRelu(x) y = {CONV}(l, w)",
        f"c = {CONV}(x, w) l = LeakyRelu(c) e = Exp(l) y = Add(e, c)",
    ],
)
def test_others_stay(body: str) -> None:
    assert "LeakyRelu" in list_operators(apply_rule(RULE, write_graph(body, WEIGHTS)))


def test_it_declines_a_slope_that_would_cancel_digits() -> None:
    body = f"c = {CONV}(x, w) l = LeakyRelu<alpha = 9.0>(c) s = Add(c, l) y = {CONV}(s, w)"
    assert list_reasons(apply_rule(RULE, write_graph(body, WEIGHTS))) == [
        "a slope beyond 8 would cancel digits"
    ]
