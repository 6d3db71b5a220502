"""Slopes, thresholds and clips."""

import math

from tests.adaptive_act.references.scalar import Reference, Values, relu, sigmoid


def _arelu(x: float, v: Values) -> float:
    return (1 + sigmoid(v["b"])) * x if x >= 0 else min(max(v["a"], 0.01), 0.99) * x


def _rprelu(x: float, v: Values) -> float:
    beyond = x - v["gamma"]
    return (beyond if beyond > 0 else v["beta"] * beyond) + v["zeta"]


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


PIECEWISE = (
    Reference("PReLU", lambda x, v: x if x > 0 else v["a"] * x),
    Reference("DPReLU", lambda x, v: v["p"] * x if x >= 0 else v["n"] * x),
    Reference("AReLU", _arelu),
    Reference("ShiLU", lambda x, v: v["a"] * relu(x) + v["b"]),
    Reference("RPReLU", _rprelu),
    Reference("StarReLU", lambda x, v: v["s"] * relu(x) ** 2 + v["b"]),
    Reference("PACT", lambda x, v: 0.0 if x < 0 else min(x, v["a"])),
    Reference("SReLU", _srelu),
    Reference("SoftThreshold", _soft_threshold),
    Reference("PLU", _plu),
    Reference("PiLU", _pilu),
)
