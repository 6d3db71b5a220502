"""A ratio of polynomials."""

from tests.adaptive_act.references.scalar import Reference, Values, polynomial


def _pade(x: float, v: Values) -> float:
    return polynomial(x, v, "a", 0, 5) / (1 + abs(polynomial(x, v, "b", 1, 4)))


RATIONAL = (
    Reference("PAU", _pade),
    Reference("PAU", _pade, {"base": "SiLU"}),
)
