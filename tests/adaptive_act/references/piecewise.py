"""Thresholds, clips and straight pieces."""

import math
from bisect import bisect_right

from tests.adaptive_act.references.scalar import Reference, Values, relu


def _srelu(x: float, v: Values) -> float:
    if x >= v["tr"]:
        return v["tr"] + v["ar"] * (x - v["tr"])
    return x if x > v["tl"] else v["tl"] + v["al"] * (x - v["tl"])


def _soft_threshold(x: float, v: Values) -> float:
    return math.copysign(max(abs(x) - v["tau"], 0.0), x)


def _plu(x: float, v: Values) -> float:
    alpha, c = v["alpha"], v["c"]
    return max(alpha * (x + c) - c, min(alpha * (x - c) + c, x))


def _pilu(x: float, v: Values) -> float:
    slope = v["a"] if x >= v["c"] else v["b"]
    return slope * x + v["c"] * (1 - slope)


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


PIECEWISE = (
    Reference("APL", _apl),
    Reference("MeLU", _melu),
    Reference("PACT", lambda x, v: 0.0 if x < 0 else min(x, v["a"])),
    Reference("PiLU", _pilu),
    Reference("PLU", _plu),
    Reference("PWLU", _pwlu),
    Reference("SoftThreshold", _soft_threshold),
    Reference("SReLU", _srelu),
)
