"""Built on tanh, softplus, sine or a square root."""

import math

from tests.adaptive_act.references.scalar import Reference, relu, softplus

CURVED = (
    Reference("Snake", lambda x, v: x + math.sin(v["a"] * x) ** 2 / v["a"]),
    Reference("SnakeBeta", lambda x, v: x + math.sin(v["alpha"] * x) ** 2 / v["beta"]),
    Reference("Stan", lambda x, v: math.tanh(x) + v["beta"] * x * math.tanh(x)),
    Reference("TanhLU", lambda x, v: v["alpha"] * math.tanh(v["lambd"] * x) + v["beta"] * x),
    Reference("LAAF", lambda x, v: math.tanh(v["a"] * x)),
    Reference("LAAF", lambda x, v: math.tanh(10 * v["a"] * x), {"n": 10.0}),
    Reference("AdaptiveSoftplus", lambda x, v: softplus(v["beta"] * x) / v["beta"]),
    Reference("SquarePlus", lambda x, v: (x + math.sqrt(x**2 + v["b"])) / 2),
    Reference("ScaledSoftSign", lambda x, v: v["alpha"] * x / (v["beta"] + abs(x))),
    Reference("PVLU", lambda x, v: relu(x) + v["alpha"] * math.sin(v["beta"] * x)),
    Reference("BLU", lambda x, v: v["beta"] * (math.sqrt(x**2 + 1) - 1) + x),
)
