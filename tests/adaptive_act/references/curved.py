"""Built on tanh, softplus, sine or a square root."""

import math

from tests.adaptive_act.references.scalar import Reference

CURVED = (Reference("Snake", lambda x, v: x + math.sin(v["a"] * x) ** 2 / v["a"]),)
