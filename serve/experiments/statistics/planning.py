"""How many units an effect needs, and which effect some units suffice for, before an experiment starts.

All numbers are of both variants together, for equal shares. `power` is the chance that the effect is shown by
then at the latest; since a sequence may be looked at any time, half of the experiments end well before.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from serve.experiments.statistics.beta_mixture import concentration_for, log_e
from serve.experiments.statistics.estimates import estimate_quantile
from serve.experiments.statistics.looks import Values
from serve.experiments.statistics.means import BURN_IN, boundary, least_units
from serve.experiments.statistics.quantiles import count_margin_buckets, log_e_of_exceedances
from serve.experiments.statistics.samples import BUCKET_RATIO, Counts, LogHistogram
from serve.experiments.statistics.shifts import log_e_shift

MOST_UNITS = 1e12
LEAST_UNITS = 2.0 * BURN_IN

_MOST_FACTOR = 1e3
_LOG_RATIO = float(np.log(BUCKET_RATIO))


@dataclass(frozen=True, slots=True)
class Requirement:
    """Units of both variants together that an effect needs: in a sequence, and in one look at the end."""

    sequential: float
    fixed: float

    def days(self, units_per_day: float) -> float:
        """The days that the sequence takes at most, with the chance given by the power."""
        return self.sequential / units_per_day if units_per_day > 0 else float("inf")


def plan_rates(base_rate: float, risk_ratio: float, alpha: float = 0.05, power: float = 0.8) -> Requirement:
    """Units to show that a rate becomes `risk_ratio` times as high."""
    rates = base_rate, base_rate * risk_ratio
    variance = sum(rate * (1 - min(rate, 1)) for rate in rates) / 2
    theta = risk_ratio / (1 + risk_ratio)

    def is_found(units: float) -> bool:
        events = units * (rates[0] + rates[1]) / 2
        k = _pessimistic(events, max(theta, 1 - theta), power)
        concentration = concentration_for(units * base_rate, alpha)
        return bool(k > events / 2 and log_e(k, events - k, 0.5, concentration) >= np.log(1 / alpha))

    return Requirement(_find_least(is_found), _units_at_once(variance, rates[1] - rates[0], alpha, power))


def plan_means(
    variance: float, effect: float, alpha: float = 0.05, power: float = 0.8, skewness: float = 0.0
) -> Requirement:
    """Units to show that a mean changes by `effect`, given the variance and skewness of one unit."""

    def is_found(units: float) -> bool:
        z = abs(effect) / np.sqrt(4 * variance / units)
        return bool(z - ndtri(power) >= boundary(units, alpha, units))

    sequential = max(_find_least(is_found), 2 * float(least_units(skewness)))
    return Requirement(sequential, _units_at_once(variance, effect, alpha, power))


def plan_quantile(
    values: LogHistogram, p: float, factor: float, alpha: float = 0.05, power: float = 0.8
) -> Requirement:
    """Units to show that all values, and with them the p-quantile, become `factor` times as large."""
    # A bucket is lost, since where in it the quantile lies is not known.
    steps = int(abs(np.log(factor)) / _LOG_RATIO) - 1
    estimate = estimate_quantile(values, p)
    once = _units_at_once(float(estimate.variance), float(estimate.value) * (factor - 1), alpha, power)
    if steps <= 0:
        return Requirement(float("inf"), once)
    below, above = _share_around(values, steps)

    def is_found(units: float) -> bool:
        arm, concentration = units / 2, concentration_for(units / 2, alpha)
        # Both fall short at once: each by as much as leaves the power to the two together.
        before, slower = (_pessimistic(arm, share, power, np.sqrt(0.5)) for share in (below, above))
        k, m = np.maximum(before, p * arm), np.maximum(slower, (1 - p) * arm)
        evidence = log_e(k, arm - k, p, concentration) + log_e(m, arm - m, 1 - p, concentration)
        return bool(np.min(evidence) >= np.log(1 / alpha))

    return Requirement(_find_least(is_found), once)


def detectable_ratio(base_rate: float, units: float, alpha: float = 0.05, power: float = 0.8) -> float:
    """The least risk ratio above 1 that this many units show in a sequence; infinite if none does."""
    return _find_least_ratio(
        lambda ratio: plan_rates(base_rate, ratio, alpha, power).sequential <= units, 1 / base_rate
    )


def detectable_factor(
    values: LogHistogram, p: float, units: float, alpha: float = 0.05, power: float = 0.8
) -> float:
    """The least factor above 1 of all values that this many units show; infinite if none does."""
    return _find_least_ratio(
        lambda factor: plan_quantile(values, p, factor, alpha, power).sequential <= units, _MOST_FACTOR
    )


def detectable_effect(
    variance: float, units: float, alpha: float = 0.05, power: float = 0.8, skewness: float = 0.0
) -> float:
    """The least change of a mean that this many units show in a sequence; infinite if none."""
    if units < 2 * least_units(skewness):
        return float("inf")
    z = boundary(units, alpha, units) + ndtri(power)
    return float(z * np.sqrt(4 * variance / units))


def plan_event_guardrail(
    rates: tuple[float, float],
    weigh: Callable[[Counts, Counts], Values],
    alpha: float,
    power: float = 0.95,
) -> float:
    """Units after which a candidate whose units have an event at the second of the rates has been stopped.

    The first rate is the control's; `weigh` is the guardrail's evidence of harm.
    """
    angles = np.linspace(0, 2 * np.pi, 64)

    def is_found(units: float) -> bool:
        # All pairs of counts that are as far from the expected ones as the power asks for.
        control, candidate = (
            Counts(np.full_like(angles, units / 2), _deviate(units / 2, rate, power, direction))
            for rate, direction in zip(rates, (np.sin(angles), np.cos(angles)), strict=True)
        )
        return bool(np.min(weigh(control, candidate)) >= np.log(1 / alpha))

    return _find_least(is_found, 2.0)


def plan_shift_guardrail(margin: float, shift: float, alpha: float, power: float = 0.95) -> float:
    """Units after which a candidate that moves the share of a class by `shift` has been stopped."""
    if shift >= 1:
        return plan_shift_guardrail(margin, 0.999, alpha, power) if margin < 0.999 else float("inf")
    start = (1 - shift) / 2

    def is_found(units: float) -> bool:
        seen = start + shift - ndtri(power) * np.sqrt(start * (1 - start) * 4 / units)
        shares = np.array([[start, 1 - start], [max(seen, 0.0), 1 - max(seen, 0.0)]]) * units / 2
        return bool(log_e_shift(shares[0], shares[1], margin, alpha) >= np.log(1 / alpha))

    return _find_least(is_found)


def plan_latency_guardrail(
    latencies: LogHistogram, p: float, margin: float, slowdown: float, alpha: float, power: float = 0.95
) -> float:
    """Units after which a candidate that takes `slowdown` times as long each time has stopped the experiment.

    `latencies` are those of the control. By chance either variant may get the fewer units.
    """
    steps = int(np.log(slowdown) / _LOG_RATIO) - count_margin_buckets(margin)
    if steps <= 0:
        return float("inf")
    below, above = _share_around(latencies, steps)
    # The evidence may fall short on either side, and at any x.
    power = (1 + power) / 2

    def is_found(units: float) -> bool:
        half = (units + ndtri(power) * np.sqrt(units) * np.array([-1.0, 0.0, 1.0])) / 2
        arms = np.maximum(half, 0.0)[:, None], np.maximum(units - half, 0.0)[:, None]
        before, slower = (
            _pessimistic(arm, share, power) for arm, share in zip(arms, (below, above), strict=True)
        )
        evidence = log_e_of_exceedances(before, slower, arms, p)
        return bool(np.min(evidence) >= np.log(1 / alpha))

    return _find_least(is_found, 2.0)


def _share_around(values: LogHistogram, steps: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each bucket: the share of values before it, and of values `steps` buckets higher after it."""
    reached = np.cumsum(values.counts / values.units)
    below = np.pad(reached, (1, steps), constant_values=(0, 1))
    return below, 1 - np.pad(reached, (steps, 1), constant_values=(0, 1))


def _deviate(units: float, rate: float, power: float, direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """Counts of events around the expected one, as far as the power asks for."""
    events = units * rate
    return np.asarray(np.clip(events + ndtri(power) * np.sqrt(events) * direction, 0, units))


def _pessimistic(units: Values, share: Values, power: float, part: float = 1.0) -> NDArray[np.float64]:
    """As many of the units as fall into the share with the chance `power` at least; less far by `part`."""
    expected = units * np.asarray(share)
    spread = np.sqrt(np.maximum(expected * (1 - np.asarray(share)), 0.0))
    return np.asarray(np.maximum(expected - part * ndtri(power) * spread, 0.0))


def _units_at_once(variance: float, effect: float, alpha: float, power: float) -> float:
    """Units of both variants that one look at the end needs."""
    z = -ndtri(alpha / 2) + ndtri(power)
    return float(4 * variance * (z / effect) ** 2) if effect else float("inf")


def _find_least(is_found: Callable[[float], bool], least: float = LEAST_UNITS) -> float:
    """The least number of units that suffice; infinite if 10^12 do not."""
    if not is_found(MOST_UNITS):
        return float("inf")
    low, high = np.log(least), np.log(MOST_UNITS)
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (low, middle) if is_found(np.exp(middle)) else (middle, high)
    return float(np.ceil(np.exp(high)))


def _find_least_ratio(is_found: Callable[[float], bool], most: float) -> float:
    """The least ratio above 1 that suffices, to within 0.01 %; infinite if `most` does not."""
    if not is_found(most):
        return float("inf")
    low, high = 0.0, float(np.log(most))
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (low, middle) if is_found(np.exp(middle)) else (middle, high)
    return float(np.exp(high))
