import pytest

from convert.rules.max_min_to_clip import RULE
from tests.convert.graphs import applied, assert_same_values, constant, graph, operators, reasons, samples

CONV = "Conv<pads = [1,1,1,1]>"
WEIGHTS = constant("w", 4, 4, 3, 3)
HIGH = "{0.5, 2, 1, 3}"


@pytest.mark.parametrize("body", ["m = Max(x, a) y = Min(m, b)", "m = Min(b, x) y = Max(a, m)"])
def test_two_numbers_are_the_bounds_of_a_clip(body: str) -> None:
    text = graph(body, constant("a", values="{-0.5}"), constant("b", values="{1.5}"))
    optimised = applied(RULE, text)
    assert operators(optimised) == ["Clip"]
    assert_same_values(optimised, text, tolerance=0)


@pytest.mark.parametrize("low", ["{0, 0, 0, 0}", "{-0.5, -2, -1, -3}"])
def test_bounds_a_channel_between_convolutions_are_a_clip_and_two_scales(low: str) -> None:
    bounds = constant("a", 4, 1, 1, values=low), constant("b", 4, 1, 1, values=HIGH)
    text = graph(f"c = {CONV}(x, w) m = Max(c, a) n = Min(m, b) y = {CONV}(n, w)", WEIGHTS, *bounds)
    optimised = applied(RULE, text)
    assert operators(optimised) == ["Conv", "Mul", "Clip", "Mul", "Conv"]
    assert_same_values(optimised, text, samples().clip(-30, 30), tolerance=5e-6)


CHANNELS = "the bounds differ between channels, and are not 0 or −s, and s above 0"
ELSEWHERE = "per channel it pays between convolutions only, and where nothing else reads x"


@pytest.mark.parametrize(
    ("body", "low", "reason"),
    [
        ("c = Relu(x) m = Max(c, a) y = Min(m, b)", "{4, 4, 4, 4}", "the bounds cross"),
        ("c = Relu(x) m = Max(c, a) y = Min(m, b)", "{0.25, 0, 0, 0}", CHANNELS),
        ("c = Relu(x) m = Max(c, a) y = Min(m, b)", "{0, 0, 0, 0}", ELSEWHERE),
        (f"c = {CONV}(x, w) m = Max(c, a) n = Min(m, b) y = Sub(c, n)", "{0, 0, 0, 0}", ELSEWHERE),
    ],
)
def test_it_declines(body: str, low: str, reason: str) -> None:
    bounds = constant("a", 4, 1, 1, values=low), constant("b", 4, 1, 1, values=HIGH)
    assert reasons(applied(RULE, graph(body, WEIGHTS, *bounds))) == [reason]
