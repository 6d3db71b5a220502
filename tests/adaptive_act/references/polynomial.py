"""Powers of x."""

import math

from tests.adaptive_act.references.scalar import Reference, Values, polynomial


def _hermite(x: float, v: Values) -> float:
    members = [1.0, x]
    for k in range(1, 3):
        members.append(x * members[k] - k * members[k - 1])
    return math.fsum(v[f"a{k}"] * member / math.factorial(k) for k, member in enumerate(members))


POLYNOMIAL = (
    Reference("HermitePolynomial", _hermite),
    Reference("SLAF", lambda x, v: polynomial(x, v, "a", 0, 4)),
)
