import pytest

from convert.rules.difference_to_sum import RULE
from tests.convert.graphs import (
    apply_rule,
    assert_same_values,
    list_operators,
    make_samples,
    write_constant,
    write_graph,
)

CONV = "Conv<pads = [1,1,1,1]>"
WEIGHTS = write_constant("w", 4, 4, 3, 3)


@pytest.mark.parametrize("shape", [(), (4, 1, 1)])
def test_a_scaled_subtrahend_takes_the_sign(shape: tuple[int, ...]) -> None:
    text = write_graph("r = Relu(x) m = Mul(r, s) y = Sub(x, m)", write_constant("s", *shape))
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Relu", "Mul", "Add"]
    assert_same_values(optimised, text, tolerance=0)


def test_a_difference_between_convolutions_is_a_sum() -> None:
    text = write_graph(f"c = {CONV}(x, w) t = Tanh(c) r = Relu(c) d = Sub(t, r) y = {CONV}(d, w)", WEIGHTS)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Conv", "Tanh", "Relu", "Mul", "Add", "Conv"]
    assert_same_values(optimised, text, make_samples().clip(-3, 3), tolerance=1e-5)


@pytest.mark.parametrize("body", ["r = Relu(x) y = Sub(x, r)", "y = Sub(x, s)", "r = Relu(x) y = Sub(s, r)"])
def test_other_differences_stay(body: str) -> None:
    assert "Sub" in list_operators(apply_rule(RULE, write_graph(body, write_constant("s"))))
