"""Guardrails at and beyond their margin, and splits of units, honest and broken, in simulated experiments."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchmarks.experiment_streams import ALPHA
from serve.experiments.statistics.planning import plan_event_guardrail, plan_latency_guardrail
from serve.experiments.statistics.quantiles import log_e_quantile_harm
from serve.experiments.statistics.rates import log_e_harm
from serve.experiments.statistics.sample_ratio import ALARM_LOG_E, log_e_sample_ratio
from serve.experiments.statistics.samples import Counts, LogHistogram, find_buckets

LOOK = 100
QUANTILE = 0.95
SIGMA = 0.4
MOST_LATENCY_RUNS = 200
"""Histograms take long."""
Evidence = NDArray[np.float64]
"""Of each run at each look."""


@dataclass(frozen=True, slots=True)
class HarmRow:
    """What one guardrail did with one candidate."""

    guardrail: str
    candidate: str
    stopped: float
    median: float
    """Units by which half of the runs are stopped, of those that are."""
    late: float
    """Units by which 95 % of all runs are stopped; infinite if fewer ever are."""
    stated: float
    units: int


@dataclass(frozen=True, slots=True)
class Harm:
    """One guardrail and one candidate."""

    guardrail: str
    candidate: str
    units: int
    weigh: Callable[[np.random.Generator, int, int], Evidence]
    """The evidence of runs at each of so many looks."""
    state: Callable[[], float]
    """The number of units that the plan states."""


@dataclass(frozen=True, slots=True)
class SplitRow:
    """One way to split units."""

    name: str
    alarms: float
    median: float | None


def simulate_harm(harm: Harm, runs: int) -> HarmRow:
    """The runs of one candidate, looked at every 100 units."""
    rng = np.random.default_rng([11, HARMS.index(harm)])
    stops = _find_first(harm.weigh(rng, runs, harm.units // LOOK) >= np.log(1 / ALPHA), LOOK)
    stopped = np.isfinite(stops)
    median = float(np.median(stops[stopped])) if stopped.any() else math.inf
    late = float(np.quantile(stops, 0.95, method="inverted_cdf"))
    return HarmRow(
        harm.guardrail, harm.candidate, float(stopped.mean()), median, late, harm.state(), harm.units
    )


def simulate_splits(runs: int, units: int, look: int) -> list[SplitRow]:
    """The alarm of honest and of broken splits."""
    rng = np.random.default_rng(13)
    rows = []
    for name, designed, real in (
        ("honest, 50/50", (0.5, 0.5), (0.5, 0.5)),
        ("honest, three variants", (1 / 3,) * 3, (1 / 3,) * 3),
        ("52/48 instead of 50/50", (0.5, 0.5), (0.52, 0.48)),
        ("55/45 instead of 50/50", (0.5, 0.5), (0.55, 0.45)),
        ("one variant of two gets nothing", (0.5, 0.5), (1.0, 0.0)),
    ):
        counts = rng.multinomial(look, real, size=(runs, units // look)).cumsum(axis=1)
        evidence = np.asarray(log_e_sample_ratio(counts.astype(np.float64), np.array(designed)))
        stops = _find_first(evidence >= ALARM_LOG_E, look)
        median = float(np.quantile(stops, 0.5, method="inverted_cdf"))
        rows.append(SplitRow(name, float(np.isfinite(stops).mean()), None if math.isinf(median) else median))
    return rows


def _find_first(is_shown: NDArray[np.bool_], look: int) -> NDArray[np.float64]:
    """The units at the first look of each run that shows it; infinite where none does."""
    return np.where(is_shown.any(axis=1), look * (1.0 + is_shown.argmax(axis=1)), np.inf)


def _weigh_errors(rate: float, ratio: float, margin: float) -> Callable[..., Evidence]:
    """Errors of units that each send one request."""

    def weigh(rng: np.random.Generator, runs: int, looks: int) -> Evidence:
        control = rng.binomial(LOOK // 2, rate, (runs, looks)).cumsum(axis=1)
        candidate = rng.binomial(LOOK // 2, rate * ratio, (runs, looks)).cumsum(axis=1)
        units = np.arange(1.0, looks + 1) * LOOK / 2
        return np.asarray(log_e_harm(Counts(units, control), Counts(units, candidate), margin))

    return weigh


def _weigh_repeated_errors(repeats: int, is_by_unit: bool) -> Callable[..., Evidence]:
    """Errors of units that send one request many times, which all fail or none; by unit or by request."""

    def weigh(rng: np.random.Generator, runs: int, looks: int) -> Evidence:
        units = np.arange(1.0, looks + 1) * LOOK / 2
        control, candidate = rng.binomial(LOOK // 2, 0.01, (2, runs, looks)).cumsum(axis=2)
        times = 1 if is_by_unit else repeats
        first, second = (Counts(times * units, times * events) for events in (control, candidate))
        return np.asarray(log_e_harm(first, second, 0.5))

    return weigh


def _weigh_latency(slowdown: float, margin: float) -> Callable[..., Evidence]:
    def weigh(rng: np.random.Generator, runs: int, looks: int) -> Evidence:
        runs = min(runs, MOST_LATENCY_RUNS)
        evidence = np.empty((runs, looks))
        first, width = int(find_buckets([math.exp(-SIGMA)])[0]), 270
        counts = np.zeros((2, runs, width))
        for look in range(looks):
            for arm, factor in enumerate((1.0, slowdown)):
                values = factor * rng.lognormal(0, SIGMA, (runs, LOOK // 2))
                buckets = np.clip(find_buckets(values) - first, 0, width - 1)
                places = buckets + width * np.arange(runs)[:, None]
                counts[arm] += np.bincount(places.ravel(), minlength=width * runs).reshape(runs, width)
            control, candidate = LogHistogram(counts[0], first), LogHistogram(counts[1], first)
            evidence[:, look] = log_e_quantile_harm(control, candidate, QUANTILE, margin)
        return evidence

    return weigh


def _state_latency(slowdown: float, margin: float) -> float:
    """By the control's latencies, seen on 20,000 units."""
    seen = LogHistogram.of(np.random.default_rng(1).lognormal(0, SIGMA, 20_000))
    return plan_latency_guardrail(seen, QUANTILE, margin, slowdown, ALPHA)


def _of_errors(ratio: float, units: int, rate: float = 0.01, margin: float = 0.5) -> Harm:
    name = f"error rate {100 * rate:g} %, margin {100 * margin:g} %"
    return Harm(
        name,
        f"x {ratio:g}",
        units,
        _weigh_errors(rate, ratio, margin),
        lambda: plan_event_guardrail((rate, rate * ratio), partial(log_e_harm, margin=margin), ALPHA),
    )


def _of_repeats(is_by_unit: bool) -> Harm:
    name = f"the same, 20 equal requests a unit, counted by {'unit' if is_by_unit else 'request'}"
    return Harm(name, "x 1", 20_000, _weigh_repeated_errors(20, is_by_unit), lambda: math.inf)


def _of_latency(slowdown: float, units: int, margin: float = 0.25) -> Harm:
    name = f"latency p{100 * QUANTILE:g}, margin {100 * margin:g} %"
    return Harm(
        name,
        f"x {slowdown:g}",
        units,
        _weigh_latency(slowdown, margin),
        lambda: _state_latency(slowdown, margin),
    )


HARMS = (
    *(_of_errors(ratio, 20_000) for ratio in (1.0, 1.5, 3.0, 5.0, 10.0)),
    *(_of_repeats(is_by_unit) for is_by_unit in (True, False)),
    *(_of_latency(slowdown, 5000) for slowdown in (1.0, 1.25, 1.5, 2.0)),
)
