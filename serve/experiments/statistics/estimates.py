"""A variant's mean, ratio or adjusted mean, with the variance that one unit adds to it."""

from dataclasses import dataclass

import numpy as np

from serve.experiments.statistics.looks import Values
from serve.experiments.statistics.samples import Counts, LogHistogram, Moments, PairMoments


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value, and the variance of one unit; the value's own variance is that divided by the units."""

    value: Values
    variance: Values
    units: Values
    skewness: Values = 0.0
    """Of one unit: how many of them it takes until the value is distributed as a normal one."""


def estimate_rate(sample: Counts) -> Estimate:
    """The share of units with the event.

    Where all units have it or none has, its variance is that of one unit more of either kind (Laplace 1814's
    rule of succession), since a variance of 0 would say that nothing else can happen.
    """
    rate = np.asarray(sample.rate)
    spread = np.where((rate > 0) & (rate < 1), rate, (sample.events + 1) / (np.asarray(sample.units) + 2))
    variance = spread * (1 - spread)
    return Estimate(rate, variance, sample.units, (1 - 2 * spread) / np.sqrt(variance))


def estimate_mean(sample: Moments) -> Estimate:
    """The mean."""
    return Estimate(sample.mean, sample.variance, sample.units, sample.skewness)


def estimate_ratio(sample: PairMoments) -> Estimate:
    """The ratio of the sums of y and of x, by the delta method; not a number where the sum of x is 0."""
    below = np.where(np.asarray(sample.mean_x) == 0, np.nan, sample.mean_x)
    with np.errstate(over="ignore", invalid="ignore"):
        ratio = sample.mean_y / below
        variance = _variance_of_rest(sample, ratio) / below**2
        return Estimate(ratio, variance, sample.units, _greatest_skewness(sample))


def estimate_adjusted(control: PairMoments, candidate: PairMoments) -> tuple[Estimate, Estimate]:
    """The means of y of both, with what x explains taken out (CUPED).

    x must not depend on the variant, such as what was measured before, or the control's score of the same
    unit. Source: Deng, Xu, Kohavi, Walker 2013, https://doi.org/10.1145/2433396.2433413.
    """
    known = np.asarray(control.squares_x + candidate.squares_x, np.float64)
    slope = (control.products + candidate.products) / np.where(known > 0, known, 1.0)
    both = np.maximum(control.units + candidate.units, 1)
    middle = (control.units * control.mean_x + candidate.units * candidate.mean_x) / both

    def adjust(arm: PairMoments) -> Estimate:
        value = arm.mean_y - slope * (arm.mean_x - middle)
        return Estimate(value, _variance_of_rest(arm, slope), arm.units, _greatest_skewness(arm))

    return adjust(control), adjust(candidate)


def estimate_quantile(sample: LogHistogram, p: float) -> Estimate:
    """The p-quantile; its variance from the density between two quantiles around it."""
    units = np.asarray(sample.units)
    step = np.maximum(2 * np.sqrt(p * (1 - p) / np.maximum(units, 1)), min(p, 1 - p) / 4)
    low, high = np.maximum(p - step, 0.0), np.minimum(p + step, 1.0)
    slope = (sample.quantile(high) - sample.quantile(low)) / (high - low)
    return Estimate(sample.quantile(p), p * (1 - p) * slope**2, units)


def _greatest_skewness(sample: PairMoments) -> Values:
    """That of what leans more, in the place of that of y - slope * x, which is not kept."""
    return np.maximum(np.abs(sample.y.skewness), np.abs(sample.x.skewness))


def _variance_of_rest(sample: PairMoments, slope: Values) -> Values:
    """The variance of y - slope * x."""
    with np.errstate(over="ignore", invalid="ignore"):
        rest = sample.y.variance + slope**2 * sample.x.variance - 2 * slope * sample.covariance
        return np.maximum(rest, 0)
