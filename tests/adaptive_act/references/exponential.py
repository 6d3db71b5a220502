"""ELU and what grew from it."""

import math

from tests.adaptive_act.references.scalar import Reference, pelu


def _mpelu(x: float, alpha: float, beta: float) -> float:
    return x if x > 0 else alpha * math.expm1(beta * x)


EXPONENTIAL = (
    Reference("PELU", lambda x, v: pelu(x, v["a"], v["b"])),
    Reference("MPELU", lambda x, v: _mpelu(x, v["alpha"], v["beta"])),
)
