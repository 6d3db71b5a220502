"""Means with unknown variance, ratios of sums and adjusted means: asymptotic confidence sequences.

Source: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas 2021, https://arxiv.org/abs/2103.06476. They rest on the
central limit theorem, so nothing is said before each variant has `BURN_IN` units. For skewed outcomes that is
not enough: a variant with few units that has not met a large outcome yet has both a low mean and a small
variance, and seems surely worse. So no variant's variance counts as less than that of both together. Without
this, at shares of 10 and 90 %, 8 to 16 % of comparisons of equal variants are decided wrongly. And nothing is
said before each variant should have met some ten of the rare outcomes, as the skewness of all units tells
without a look at who met them: else a fifth of the intervals around a true effect on sales by 1 % of the
units leaves it out at the first looks.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from serve.experiments.statistics.estimates import Estimate
from serve.experiments.statistics.looks import Look, Values
from serve.experiments.statistics.samples import Moments

BURN_IN = 100
LEAST_RARE_OUTCOMES = 10.0
"""Units of a variant, divided by the square of the skewness."""


def least_units(skewness: Values) -> Values:
    """Units that each variant needs before anything is said."""
    return np.maximum(LEAST_RARE_OUTCOMES * np.square(skewness), BURN_IN)


def compare(control: Estimate, candidate: Estimate, alpha: float, planned_units: float) -> Look:
    """The difference of two estimated values, candidate less control."""
    first, second = (np.asarray(arm.units, np.float64) for arm in (control, candidate))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        weights = np.maximum(first - 1, 0), np.maximum(second - 1, 0)
        squares = weights[0] * control.variance + weights[1] * candidate.variance
        pooled = squares / np.maximum(weights[0] + weights[1], 1)
        spreads = np.maximum(control.variance, pooled), np.maximum(candidate.variance, pooled)
        error = np.sqrt(spreads[0] / np.maximum(first, 1) + spreads[1] / np.maximum(second, 1))
        effect = candidate.value - np.asarray(control.value)
        cubes = sum(
            weight * arm.skewness * np.sqrt(arm.variance / pooled) ** 3
            for weight, arm in zip(weights, (control, candidate), strict=True)
        )
        least = least_units(cubes / (weights[0] + weights[1]))
    is_ready = (np.minimum(first, second) >= least) & (error > 0)
    is_ready &= np.isfinite(error) & np.isfinite(effect)
    low, high, evidence = _sequence(effect, error, first + second, is_ready, alpha, planned_units)
    return Look(effect, low, high, evidence, control.value, candidate.value, (control.units, candidate.units))


def sequence_of_mean(sample: Moments, alpha: float, planned_units: float) -> Look:
    """The mean of one sample against 0, such as of differences within pairs."""
    units = np.asarray(sample.units, np.float64)
    error = np.sqrt(sample.variance / np.maximum(units, 1))
    is_ready = (units >= BURN_IN) & (error > 0) & np.isfinite(error)
    low, high, evidence = _sequence(sample.mean, error, units, is_ready, alpha, planned_units)
    return Look(sample.mean, low, high, evidence, 0.0, sample.mean, (units, units))


def log_e_mean_above(
    excess: Values, error: Values, units: Values, alpha: float, planned_units: float
) -> Values:
    """The evidence that a quantity is above a bound, from its estimate less the bound and its standard error.

    The mixture is the upper half of a normal one.
    """
    spread = units * spread_for(planned_units, 2 * alpha)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(error > 0, excess / error, 0.0)
    return np.asarray(np.log(2) + _log_e(z, spread) + log_ndtr(z * np.sqrt(spread / (spread + 1))))


def spread_for(planned_units: float, alpha: float) -> float:
    """The mixture's variance, rho squared, for the narrowest sequence at the planned number of units."""
    logs = 2 * np.log(1 / alpha)
    return float((logs + np.log1p(logs)) / planned_units)


def boundary(units: Values, alpha: float, planned_units: float) -> Values:
    """How many standard errors wide either half of the sequence is at this number of units."""
    spread = np.asarray(units, np.float64) * spread_for(planned_units, alpha)
    return np.asarray(np.sqrt(2 * (spread + 1) / spread * (np.log1p(spread) / 2 + np.log(1 / alpha))))


def _sequence(
    effect: Values,
    error: Values,
    units: Values,
    is_ready: NDArray[np.bool_],
    alpha: float,
    planned_units: float,
) -> tuple[Values, Values, Values]:
    """Lower end, upper end and evidence; infinite ends and no evidence where it is not ready."""
    spread = np.maximum(units, 1) * spread_for(planned_units, alpha)
    with np.errstate(divide="ignore", invalid="ignore"):
        half = error * boundary(np.maximum(units, 1), alpha, planned_units)
        evidence = _log_e(np.where(is_ready, effect / np.asarray(error), 0.0), spread)
    return (
        np.where(is_ready, effect - half, -np.inf),
        np.where(is_ready, effect + half, np.inf),
        np.where(is_ready, evidence, 0.0),
    )


def _log_e(z: Values, spread: Values) -> Values:
    return z * z * spread / (2 * (spread + 1)) - np.log1p(spread) / 2
