"""x times a gate between 0 and 1: Swish, GELU, Mish and what grew from them."""

import math

from tests.adaptive_act.references.scalar import Reference, normal_cdf, sigmoid


def _gelu_tanh(x: float) -> float:
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


GATED = (
    Reference("Swish", lambda x, v: x * sigmoid(v["beta"] * x)),
    Reference("ScaledGELU", lambda x, v: x * normal_cdf(v["k"] * x)),
    Reference("ScaledGELU", lambda x, v: _gelu_tanh(v["k"] * x) / v["k"], {"approximate": "tanh"}),
)
