"""Slopes, shifts and powers of ReLU."""

from tests.adaptive_act.references.scalar import Reference, Values, relu, sigmoid


def _arelu(x: float, v: Values) -> float:
    return (1 + sigmoid(v["b"])) * x if x >= 0 else min(max(v["a"], 0.01), 0.99) * x


def _rprelu(x: float, v: Values) -> float:
    beyond = x - v["gamma"]
    return (beyond if beyond > 0 else v["beta"] * beyond) + v["zeta"]


RECTIFIED = (
    Reference("PReLU", lambda x, v: x if x > 0 else v["a"] * x),
    Reference("DPReLU", lambda x, v: v["p"] * x if x >= 0 else v["n"] * x),
    Reference("RPReLU", _rprelu),
    Reference("AReLU", _arelu),
    Reference("ShiLU", lambda x, v: v["a"] * relu(x) + v["b"]),
    Reference("StarReLU", lambda x, v: v["s"] * relu(x) ** 2 + v["b"]),
)
