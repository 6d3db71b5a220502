"""Built on a sine or a cosine."""

import math

from tests.adaptive_act.references.scalar import Reference, relu, sigmoid

PERIODIC = (
    Reference("CosLU", lambda x, v: (x + v["alpha"] * math.cos(v["beta"] * x)) * sigmoid(x)),
    Reference("PVLU", lambda x, v: relu(x) + v["alpha"] * math.sin(v["beta"] * x)),
    Reference("Snake", lambda x, v: x + math.sin(v["a"] * x) ** 2 / v["a"]),
    Reference("SnakeBeta", lambda x, v: x + math.sin(v["alpha"] * x) ** 2 / v["beta"]),
)
