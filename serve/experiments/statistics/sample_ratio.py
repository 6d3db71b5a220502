"""Whether the units that arrive in each variant fit the shares that the design gives them.

A mismatch means that units are lost or assigned wrongly in one variant, so that nothing measured on them can
be compared. Source: Lindon & Malek 2020, https://arxiv.org/abs/2011.03567.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from serve.experiments.statistics.beta_mixture import log_e_of_cells
from serve.experiments.statistics.looks import Values

ALARM_LOG_E = float(np.log(1000))
"""An honest experiment reaches this with a chance of 1 in 1000 at most, over all of its time."""

CONCENTRATIONS = (4.0, 400.0)
"""One is sharp for an arm that gets nothing, found after some 20 units; the other for 48 instead of 50 %."""


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """The units of each variant beside the shares that they should have."""

    units: tuple[float, ...]
    shares: tuple[float, ...]
    log_e: float

    @property
    def is_alarm(self) -> bool:
        """Whether the split is broken."""
        return self.log_e >= ALARM_LOG_E


def check_sample_ratio(units: Sequence[float], shares: Sequence[float]) -> SampleRatio:
    """The units of each variant tested against the designed shares, which sum to 1."""
    log_e = log_e_sample_ratio(np.asarray(units, np.float64), np.asarray(shares, np.float64))
    return SampleRatio(tuple(units), tuple(shares), float(log_e))


def log_e_sample_ratio(units: NDArray[np.float64], shares: NDArray[np.float64]) -> Values:
    """The evidence against the shares; variants are the last axis."""
    evidence = [log_e_of_cells(units, shares, concentration) for concentration in CONCENTRATIONS]
    return np.asarray(logsumexp(evidence, axis=0) - np.log(len(CONCENTRATIONS)))
