"""x times a gate between 0 and 1: Swish, GELU, Mish and what grew from them."""

import math

from tests.adaptive_act.references.scalar import Reference, Values, normal_cdf, sigmoid, softplus


def _gelu_tanh(x: float) -> float:
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _acon_c(x: float, v: Values) -> float:
    p1, p2, beta = v["p1"], v["p2"], v["beta"]
    return (p1 - p2) * x * sigmoid(beta * (p1 - p2) * x) + p2 * x


def _erf_act(x: float, v: Values) -> float:
    return x * math.erf(v["alpha"] * math.exp(min(v["beta"] * x, 700)))


def _hard_swish(x: float, v: Values) -> float:
    return x * min(max(v["a"] * x + v["b"], 0.0), 1.0)


GATED = (
    Reference("Swish", lambda x, v: x * sigmoid(v["beta"] * x)),
    Reference("ACONC", _acon_c),
    Reference("AdaptiveHardswish", _hard_swish),
    Reference("AHAF", lambda x, v: v["gamma"] * x * sigmoid(v["beta"] * x)),
    Reference("APTx", lambda x, v: (v["alpha"] + math.tanh(v["beta"] * x)) * v["gamma"] * x),
    Reference("BetaMish", lambda x, v: x * math.tanh(v["beta"] * softplus(x))),
    Reference("ErfAct", _erf_act),
    Reference("Pserf", lambda x, v: x * math.erf(v["gamma"] * softplus(v["delta"] * x))),
    Reference("PSSiLU", lambda x, v: x * (sigmoid(v["a"] * x) - v["b"]) / (1 - v["b"])),
    Reference("ScaledGELU", lambda x, v: x * normal_cdf(v["k"] * x)),
    Reference("ScaledGELU", lambda x, v: _gelu_tanh(v["k"] * x) / v["k"], {"approximate": "tanh"}),
    Reference("ScaledMish", lambda x, v: x * math.tanh(softplus(v["beta"] * x))),
)
