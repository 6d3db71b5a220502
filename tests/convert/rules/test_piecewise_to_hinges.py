import pytest

from convert.rules.piecewise_to_hinges import RULE
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
KNOTS = (
    write_constant("a", 4, 1, 1, values="{-0.5, -2, -1, -0.25}"),
    write_constant("b", 4, 1, 1, values="{0.5, 2, 1, 3}"),
    write_constant("s", 4, 1, 1, values="{0.5, 0.25, 2, 0.75}"),
)
ZERO, TWO = write_constant("zero", values="{0}"), write_constant("two", values="{2}")
HELD = "m = Max(c, a) h = Min(m, b) d = Sub(c, h)"
TENT = "e = Sub(c, two) f = Abs(e) g = Sub(two, f) t = Relu(g) u = Mul(t, s)"


def between(body: str) -> str:
    """The function of c as n, between two convolutions."""
    return write_graph(f"c = {CONV}(x, w) {body} y = {CONV}(n, w)", WEIGHTS, *KNOTS, ZERO, TWO)


@pytest.mark.parametrize(
    "body",
    [
        "m = Max(c, a) h = Min(m, b) n = Sub(c, h)",  # SoftThreshold
        f"{HELD} e = Mul(d, s) n = Add(h, e)",  # PLU
        f"{HELD} r = Relu(d) q = Min(d, zero) e = Mul(q, s) f = Add(r, e) n = Add(h, f)",  # SReLU
        f"{TENT} l = LeakyRelu<alpha = 0.25>(c) n = Add(l, u)",  # MeLU
        f"{TENT} l = PRelu(c, s) n = Sub(l, u)",
        "e = Abs(c) f = Max(e, b) g = Mul(c, two) n = Add(f, g)",
    ],
)
def test_it_is_a_sum_of_hinges(body: str) -> None:
    text = between(body)
    optimised = apply_rule(RULE, text)
    assert len(optimised.firings) == 1
    assert set(list_operators(optimised)) <= {"Conv", "Sub", "Relu", "Mul", "Add"}
    assert_same_values(optimised, text, make_samples().clip(-30, 30), tolerance=1e-5)


def test_channels_may_bend_differently_often() -> None:
    wide = write_constant("b", 4, 1, 1, values="{0.5, 0, 1, 3}")
    body = f"c = {CONV}(x, w) e = Relu(c) f = Max(e, b) g = Abs(f) q = Min(c, s) i = Add(g, q) n = Add(i, c)"
    text = write_graph(f"{body} y = {CONV}(n, w)", WEIGHTS, KNOTS[2], wide)
    optimised = apply_rule(RULE, text)
    assert len(optimised.firings) == 1
    assert_same_values(optimised, text, make_samples().clip(-30, 30), tolerance=1e-5)


CANCELS = "far out, a slope would be the small difference of large ones"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (f"{HELD} k = Mul(d, tiny) n = Add(h, k)", CANCELS),
        ("e = Max(c, a) f = Min(e, b) g = Abs(f) n = Abs(g)", CANCELS),
        ("e = Abs(c) n = Add(e, c)", "2 passes for 2 operators"),
    ],
)
def test_it_declines(body: str, reason: str) -> None:
    tiny = write_constant("tiny", values="{0.001}")
    text = write_graph(f"c = {CONV}(x, w) {body} y = {CONV}(n, w)", WEIGHTS, *KNOTS, tiny)
    optimised = apply_rule(RULE, text)
    if "operators" in reason:
        assert list_operators(optimised)[0] == "Conv"
        return
    assert set(list_reasons(optimised)) == {reason}


@pytest.mark.parametrize(
    "body",
    [
        "m = Max(c, a) h = Min(m, b) k = Sin(h) n = Sub(c, k)",  # bent elsewhere
        f"d = {CONV}(x, w) m = Max(c, d) n = Sub(c, m)",  # of two values
    ],
)
def test_other_functions_stay(body: str) -> None:
    assert not apply_rule(RULE, between(body)).firings


def test_outside_of_convolutions_it_stays() -> None:
    text = write_graph(f"c = Relu(x) {HELD} y = Add(h, d)", *KNOTS)
    assert not apply_rule(RULE, text).firings
