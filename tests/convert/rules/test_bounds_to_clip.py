import pytest

from convert.rules.bounds_to_clip import RULE
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
HIGH = "{0.5, 2, 1, 3}"
HELD = "m = Max(c, a) n = Min(m, b)"


@pytest.mark.parametrize("low", ["{0, 0, 0, 0}", "{-0.5, -2, -1, -3}"])
@pytest.mark.parametrize("last", [f"y = {CONV}(n, w)", f"d = Sub(c, n) y = {CONV}(d, w)"])
def test_bounds_per_channel_are_a_clip_and_two_scales(low: str, last: str) -> None:
    bounds = write_constant("a", 4, 1, 1, values=low), write_constant("b", 4, 1, 1, values=HIGH)
    text = write_graph(f"c = {CONV}(x, w) {HELD} {last}", WEIGHTS, *bounds)
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised)[:4] == ["Conv", "Mul", "Clip", "Mul"]
    assert_same_values(optimised, text, make_samples().clip(-30, 30), tolerance=5e-6)


def test_relu_is_the_lower_bound() -> None:
    text = write_graph(
        f"c = {CONV}(x, w) m = Relu(c) n = Min(m, b) y = {CONV}(n, w)",
        WEIGHTS,
        write_constant("b", 4, 1, 1, values=HIGH),
    )
    optimised = apply_rule(RULE, text)
    assert list_operators(optimised) == ["Conv", "Mul", "Clip", "Mul", "Conv"]
    assert_same_values(optimised, text, make_samples().clip(-30, 30), tolerance=5e-6)


CHANNELS = "the bounds differ between channels, and are not 0 or −s, and s above 0"
ELSEWHERE = "per channel it pays between convolutions only, where the first takes a scale"


@pytest.mark.parametrize(
    ("body", "low", "reason"),
    [
        (f"c = Abs(x) {HELD} y = Abs(n)", "{4, 4, 4, 4}", "the bounds cross"),
        (f"c = Abs(x) {HELD} y = Abs(n)", "{0.25, 0, 0, 0}", CHANNELS),
        (f"c = Abs(x) {HELD} y = Abs(n)", "{0, 0, 0, 0}", ELSEWHERE),
        (f"c = {CONV}(x, w) {HELD} y = Sin(n)", "{0, 0, 0, 0}", ELSEWHERE),
    ],
)
def test_it_declines(body: str, low: str, reason: str) -> None:
    bounds = write_constant("a", 4, 1, 1, values=low), write_constant("b", 4, 1, 1, values=HIGH)
    assert list_reasons(apply_rule(RULE, write_graph(body, WEIGHTS, *bounds))) == [reason]
