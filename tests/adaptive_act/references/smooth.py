"""Smooth approximations of ReLU."""

import math

from tests.adaptive_act.references.scalar import Reference, Values, normal_cdf, softplus


def _smu(x: float, v: Values) -> float:
    """With erf split where it would cancel: (1 + erf(u)) / 2 is the normal distribution's at √2 · u."""
    alpha, mu = v["alpha"], v["mu"]
    return alpha * x + (1 - alpha) * x * normal_cdf(math.sqrt(2) * mu * (1 - alpha) * x)


SMOOTH = (
    Reference("AdaptiveSoftplus", lambda x, v: softplus(v["beta"] * x) / v["beta"]),
    Reference("BLU", lambda x, v: v["beta"] * (math.sqrt(x**2 + 1) - 1) + x),
    Reference("SMU", _smu),
    Reference("SquarePlus", lambda x, v: (x + math.sqrt(x**2 + v["b"])) / 2),
)
