"""Guardrails at and beyond their margin, and splits of units, honest and broken, in simulated experiments."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.experiment_streams import ALPHA
from serve.experiments.guardrails import log_e_nan
from serve.experiments.plans import STOPPED
from serve.experiments.statistics.looks import Values
from serve.experiments.statistics.pairs import log_e_disagreement
from serve.experiments.statistics.planning import (
    plan_event_guardrail,
    plan_latency_guardrail,
    plan_shift_guardrail,
)
from serve.experiments.statistics.quantiles import log_e_quantile_harm
from serve.experiments.statistics.rates import HARM_CONCENTRATION, log_e_harm
from serve.experiments.statistics.sample_ratio import ALARM_LOG_E, log_e_sample_ratio
from serve.experiments.statistics.samples import Counts, LogHistogram, find_buckets
from serve.experiments.statistics.shifts import log_e_shift
from serve.experiments.steering import LOOK_ANSWERS

LOOK = LOOK_ANSWERS
QUANTILE = 0.95
SIGMA = 0.4
MOST_LATENCY_RUNS = 200
"""Histograms take long."""
Evidence: TypeAlias = NDArray[np.float64]
"""Of each run at each look."""
Units: TypeAlias = NDArray[np.int64]
Weigh: TypeAlias = Callable[[np.random.Generator, int, int], Evidence]
"""The evidence of runs at each of so many looks."""


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
    """Units that a plan states, those until the next look among them."""
    within: float
    """The share of the runs that is stopped by then."""
    units: int


@dataclass(frozen=True, slots=True)
class Harm:
    """One guardrail and one candidate."""

    guardrail: str
    candidate: str
    units: int
    weigh: Weigh
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
    late = float(np.quantile(stops, STOPPED, method="inverted_cdf"))
    stated = math.ceil(harm.state()) + LOOK if math.isfinite(harm.state()) else math.inf
    within = float((stops <= stated).mean())
    share = float(stopped.mean())
    return HarmRow(harm.guardrail, harm.candidate, share, median, late, stated, within, harm.units)


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


def _draw_arms(rng: np.random.Generator, runs: int, looks: int) -> tuple[Units, Units]:
    """How many units of each look meet the control and the candidate; chance splits them unevenly."""
    candidate = rng.binomial(LOOK, 0.5, (runs, looks))
    return LOOK - candidate, candidate


def _weigh_events(rates: tuple[float, float], weigh_counts: Callable[[Counts, Counts], Values]) -> Weigh:
    """Events such as errors, of units that each send one request."""

    def weigh(rng: np.random.Generator, runs: int, looks: int) -> Evidence:
        control, candidate = (
            Counts(units.cumsum(axis=1), rng.binomial(units, rate).cumsum(axis=1))
            for units, rate in zip(_draw_arms(rng, runs, looks), rates, strict=True)
        )
        return np.asarray(weigh_counts(control, candidate))

    return weigh


def _weigh_pairs(rate: float, margin: float) -> Weigh:
    """Requests that both answer in shadow, unlike at this rate."""

    def weigh(rng: np.random.Generator, runs: int, looks: int) -> Evidence:
        unlike = rng.binomial(LOOK, rate, (runs, looks)).cumsum(axis=1)
        return np.asarray(
            log_e_disagreement(Counts(LOOK * np.arange(1.0, looks + 1), unlike), margin, HARM_CONCENTRATION)
        )

    return weigh


def _weigh_shift(shift: float, margin: float) -> Weigh:
    """Predictions of two classes, of which one gains this share."""

    def weigh(rng: np.random.Generator, runs: int, looks: int) -> Evidence:
        start = (1 - shift) / 2

        def draw(units: Units, share: float) -> Units:
            first = rng.binomial(units, share)
            return np.stack([first, units - first], axis=-1).cumsum(axis=1)

        control, candidate = _draw_arms(rng, runs, looks)
        classes = draw(control, start), draw(candidate, start + shift)
        return np.asarray(log_e_shift(*classes, margin, ALPHA))

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


def _weigh_latency(slowdown: float, margin: float) -> Weigh:
    def weigh(rng: np.random.Generator, runs: int, looks: int) -> Evidence:
        runs = min(runs, MOST_LATENCY_RUNS)
        evidence = np.empty((runs, looks))
        first, width = int(find_buckets([math.exp(-SIGMA)])[0]), 270
        counts = np.zeros((2, runs, width))
        for look in range(looks):
            arms = rng.random((runs, LOOK)) < 0.5
            values = np.where(arms, slowdown, 1.0) * rng.lognormal(0, SIGMA, (runs, LOOK))
            buckets = np.clip(find_buckets(values) - first, 0, width - 1)
            places = buckets + width * np.arange(runs)[:, None]
            for arm, is_own in enumerate((~arms, arms)):
                added = np.bincount(places[is_own], minlength=width * runs)
                counts[arm] += added.reshape(runs, width)
            control, candidate = LogHistogram(counts[0], first), LogHistogram(counts[1], first)
            evidence[:, look] = log_e_quantile_harm(control, candidate, QUANTILE, margin)
        return evidence

    return weigh


def _state_latency(slowdown: float, margin: float) -> float:
    """By the control's latencies, seen on 20,000 units."""
    seen = LogHistogram.of(np.random.default_rng(1).lognormal(0, SIGMA, 20_000))
    return plan_latency_guardrail(seen, QUANTILE, margin, slowdown, ALPHA, STOPPED)


def _of_errors(ratio: float, units: int, rate: float = 0.01, margin: float = 0.5) -> Harm:
    name = f"error rate {100 * rate:g} %, margin {100 * margin:g} %"
    rates, weigh = (rate, rate * ratio), partial(log_e_harm, margin=margin)
    state = partial(plan_event_guardrail, rates, weigh, ALPHA, STOPPED)
    return Harm(name, f"x {ratio:g}", units, _weigh_events(rates, weigh), state)


def _of_nan(rate: float, units: int) -> Harm:
    rates, weigh = (0.0, rate), partial(log_e_nan, margin=0.0)
    state = partial(plan_event_guardrail, rates, weigh, ALPHA, STOPPED)
    return Harm("NaN", f"{100 * rate:g} %", units, _weigh_events(rates, weigh), state)


def _of_repeats(is_by_unit: bool) -> Harm:
    name = f"error rate, 20 equal requests a unit, counted by {'unit' if is_by_unit else 'request'}"
    return Harm(name, "x 1", 20_000, _weigh_repeated_errors(20, is_by_unit), lambda: math.inf)


def _of_latency(slowdown: float, units: int, margin: float = 0.25) -> Harm:
    name = f"latency p{100 * QUANTILE:g}, margin {100 * margin:g} %"
    state = partial(_state_latency, slowdown, margin)
    return Harm(name, f"x {slowdown:g}", units, _weigh_latency(slowdown, margin), state)


def _of_shift(shift: float, units: int, margin: float = 0.1) -> Harm:
    state = partial(plan_shift_guardrail, margin, shift, ALPHA, STOPPED)
    name = f"shift of predictions, margin {100 * margin:g} points"
    return Harm(name, f"{100 * shift:g} points", units, _weigh_shift(shift, margin), state)


def _of_disagreement(rate: float, units: int, margin: float = 0.1) -> Harm:
    def weigh(_: Counts, candidate: Counts) -> Values:
        return log_e_disagreement(candidate, margin, HARM_CONCENTRATION)

    def state() -> float:
        return plan_event_guardrail((0.0, rate), weigh, ALPHA, STOPPED) / 2

    name = f"disagreement in shadow, margin {100 * margin:g} %"
    return Harm(name, f"{100 * rate:g} %", units, _weigh_pairs(rate, margin), state)


HARMS = (
    *(_of_errors(ratio, 20_000) for ratio in (1.0, 1.5, 3.0, 5.0, 10.0)),
    *(_of_repeats(is_by_unit) for is_by_unit in (True, False)),
    *(_of_nan(rate, 5000) for rate in (0.0, 0.01, 0.05)),
    *(_of_latency(slowdown, 5000) for slowdown in (1.0, 1.25, 1.5, 2.0, 3.0)),
    *(_of_shift(shift, 20_000) for shift in (0.0, 0.1, 0.15, 0.2)),
    *(_of_disagreement(rate, 20_000) for rate in (0.1, 0.15, 0.2)),
)
