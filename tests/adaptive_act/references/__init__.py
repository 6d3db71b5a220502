"""Each activation as a scalar formula in float64, written from its paper and never from our code."""

from tests.adaptive_act.references.blended import BLENDED
from tests.adaptive_act.references.exponential import EXPONENTIAL
from tests.adaptive_act.references.gated import GATED
from tests.adaptive_act.references.periodic import PERIODIC
from tests.adaptive_act.references.piecewise import PIECEWISE
from tests.adaptive_act.references.polynomial import POLYNOMIAL
from tests.adaptive_act.references.rational import RATIONAL
from tests.adaptive_act.references.rectified import RECTIFIED
from tests.adaptive_act.references.scalar import Reference
from tests.adaptive_act.references.sigmoidal import SIGMOIDAL
from tests.adaptive_act.references.smooth import SMOOTH

REFERENCES = (
    *RECTIFIED,
    *PIECEWISE,
    *EXPONENTIAL,
    *GATED,
    *SMOOTH,
    *SIGMOIDAL,
    *BLENDED,
    *POLYNOMIAL,
    *RATIONAL,
    *PERIODIC,
)

__all__ = ["REFERENCES", "Reference"]
