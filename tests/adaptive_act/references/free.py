"""Free shapes: polynomials, rationals, piecewise linear with many pieces."""

import math
from bisect import bisect_right

from tests.adaptive_act.references.scalar import Reference, Values, relu


def _polynomial(x: float, v: Values, name: str, first: int, last: int) -> float:
    return math.fsum(v[f"{name}{k}"] * x**k for k in range(first, last + 1))


def _pade(x: float, v: Values) -> float:
    return _polynomial(x, v, "a", 0, 5) / (1 + abs(_polynomial(x, v, "b", 1, 4)))


def _hermite(x: float, v: Values) -> float:
    members = [1.0, x]
    for k in range(1, 3):
        members.append(x * members[k] - k * members[k - 1])
    return math.fsum(v[f"a{k}"] * member / math.factorial(k) for k, member in enumerate(members))


def _apl(x: float, v: Values) -> float:
    return relu(x) + math.fsum(v[f"a{s}"] * relu(v[f"b{s}"] - x) for s in (1, 2))


def _melu(x: float, v: Values) -> float:
    hats = {"c1": (2, 2), "c2": (1, 1), "c3": (3, 1)}
    raised = math.fsum(v[c] * max(width - abs(x - middle), 0) for c, (middle, width) in hats.items())
    return (x if x > 0 else v["a"] * x) + raised


def _pwlu(x: float, v: Values) -> float:
    """By looking up the interval, as the paper does."""
    width = (v["right"] - v["left"]) / 6
    knots = [v["left"] + k * width for k in range(7)]
    if x < knots[0]:
        return v["y0"] + v["slope_left"] * (x - knots[0])
    if x >= knots[6]:
        return v["y6"] + v["slope_right"] * (x - knots[6])
    k = min(bisect_right(knots, x) - 1, 5)
    low, high = v[f"y{k}"], v[f"y{k + 1}"]
    return low + (high - low) * (x - knots[k]) / width


FREE = (
    Reference("PAU", _pade),
    Reference("PAU", _pade, {"base": "SiLU"}),
    Reference("SLAF", lambda x, v: _polynomial(x, v, "a", 0, 4)),
    Reference("HermitePolynomial", _hermite),
    Reference("APL", _apl),
    Reference("MeLU", _melu),
    Reference("PWLU", _pwlu),
)
