"""Free shapes: polynomials, rationals, piecewise linear with many pieces."""

from tests.adaptive_act.references.scalar import Reference

FREE: tuple[Reference, ...] = ()
