"""The fixed-horizon option: one look at the registered number of units, by the usual test.

It finds smaller effects than a sequence does with as many units, but says nothing before the registered
number is reached, and what it says then may not be looked at again with more.
"""

import numpy as np
from scipy.special import log_ndtr, ndtri

from serve.experiments.statistics.estimates import Estimate
from serve.experiments.statistics.looks import Look


def compare_once(control: Estimate, candidate: Estimate, alpha: float) -> Look:
    """The difference, candidate less control, by Welch's test in its large-sample form.

    In the place of `log_e` is -ln(p), which reaches ln(1/alpha) as the interval leaves out 0; it may be
    looked at only once.
    """
    variances = [
        arm.variance / np.maximum(np.asarray(arm.units, np.float64), 1) for arm in (control, candidate)
    ]
    error, effect = np.sqrt(variances[0] + variances[1]), candidate.value - np.asarray(control.value)
    is_ready = np.isfinite(effect) & np.isfinite(error) & (error > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(is_ready, np.abs(effect) / error, 0.0)
        half = np.where(is_ready, -ndtri(alpha / 2) * error, np.inf)
        low, high = np.where(is_ready, effect - half, -np.inf), np.where(is_ready, effect + half, np.inf)
    evidence = -(np.log(2) + log_ndtr(-z))
    return Look(effect, low, high, evidence, control.value, candidate.value, (control.units, candidate.units))
