"""Each activation as a scalar formula in float64, written from its paper and never from our code."""

from tests.adaptive_act.references.blended import BLENDED
from tests.adaptive_act.references.curved import CURVED
from tests.adaptive_act.references.exponential import EXPONENTIAL
from tests.adaptive_act.references.free import FREE
from tests.adaptive_act.references.gated import GATED
from tests.adaptive_act.references.piecewise import PIECEWISE
from tests.adaptive_act.references.scalar import Reference

REFERENCES = (*PIECEWISE, *EXPONENTIAL, *GATED, *CURVED, *BLENDED, *FREE)

__all__ = ["REFERENCES", "Reference"]
