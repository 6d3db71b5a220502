"""Each metric of a candidate beside the control: by the sequence of its kind, or once at the planned size."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from serve.experiments.definition import Experiment, Metric
from serve.experiments.findings import Comparison, Finding, Memory, Observations, OutcomeSample
from serve.experiments.statistics import means
from serve.experiments.statistics.beta_mixture import concentration_for
from serve.experiments.statistics.estimates import (
    Estimate,
    estimate_adjusted,
    estimate_mean,
    estimate_quantile,
    estimate_rate,
    estimate_ratio,
)
from serve.experiments.statistics.fixed_horizon import compare_once
from serve.experiments.statistics.looks import History, Look
from serve.experiments.statistics.quantiles import compare_quantiles
from serve.experiments.statistics.rates import compare_rates
from serve.experiments.statistics.samples import Counts, LogHistogram, Moments, PairMoments

RARE = 0.1
"""Outcomes up to this rate are compared by the events alone: exact, and the sharpest for rare ones."""

_EMPTY: dict[str, OutcomeSample] = {
    "binary": Counts(),
    "mean": Moments(),
    "ratio": PairMoments(),
    "quantile": LogHistogram.of([]),
}


@dataclass(frozen=True, slots=True)
class Design:
    """What the comparisons of an experiment have in common, all of it fixed before the start."""

    alpha: float
    """Of one comparison: the experiment's, divided among primary metrics and candidates."""
    planned_units: float
    """Of the control and one candidate together."""
    is_fixed: bool
    base_rates: Mapping[str, float]
    """By binary metric, as `base_rates` chose it once: a rare one is compared by the events alone, as a
    ratio, any other as a difference of shares."""


def design_of(experiment: Experiment, base_rates: Mapping[str, float]) -> Design:
    """The design that follows from the definition."""
    primary = sum(metric.is_primary for metric in experiment.metrics)
    comparisons = max(primary, 1) * len(experiment.candidates)
    planned = experiment.planned_units * 2 / len(experiment.variants)
    return Design(experiment.alpha / comparisons, planned, experiment.fixed_horizon, base_rates)


def compare_metric(
    metric: Metric,
    candidate: str,
    samples: tuple[Observations, Observations],
    design: Design,
    memory: Memory,
) -> Comparison:
    """The metric of the control and of a candidate, and what all looks at it so far have shown."""
    control, other = (known.outcomes.get(metric.name, _empty(metric)) for known in samples)
    before = memory.histories.get((metric.name, candidate))
    if design.is_fixed:
        look = _leave_out_absent(_look_once(metric, control, other, design))
        # The one look is the first with the planned units: a second one would be another chance.
        history = before or History.begin(look)
    else:
        look = _leave_out_absent(_look(metric, control, other, design))
        history = before.add(look) if before else History.begin(look)
    return Comparison(metric, candidate, look, history, judge_effect(metric, look, history))


def _leave_out_absent(look: Look) -> Look:
    """The look without a value for a variant that has no outcome yet, and so without an effect."""
    control, candidate = (
        value if float(units) > 0 else math.nan
        for value, units in zip((look.control, look.candidate), look.units, strict=True)
    )
    is_known = not (math.isnan(float(control)) or math.isnan(float(candidate)))
    return replace(look, control=control, candidate=candidate, effect=look.effect if is_known else math.nan)


def judge_effect(metric: Metric, look: Look, history: History) -> Finding:
    """What the interval says: on one side of no effect, inside the margin of equivalence, or neither."""
    is_up_better = (metric.direction == "increase") != look.of_failures
    if history.low > look.no_effect:
        return "better" if is_up_better else "worse"
    if history.high < look.no_effect:
        return "worse" if is_up_better else "better"
    low, high = _equivalence(metric, look)
    return "equivalent" if low < history.low and history.high < high else "undecided"


def _equivalence(metric: Metric, look: Look) -> tuple[float, float]:
    """The effects that count as none; nothing where there is no margin."""
    if metric.equivalence_margin is None:
        return math.inf, -math.inf
    margin, control = metric.equivalence_margin, float(look.control)
    if look.scale == "difference":
        return -margin * abs(control), margin * abs(control)
    if look.of_failures and control > 0:
        # The margin is relative to the share of successes, the look is at the share of failures.
        margin *= (1 - control) / control
    return 1 / (1 + margin), 1 + margin


def _look(metric: Metric, control: OutcomeSample, candidate: OutcomeSample, design: Design) -> Look:
    """One look by the sequence of the metric's kind."""
    base_rate = design.base_rates.get(metric.name, 0.5)
    is_rare = min(base_rate, 1 - base_rate) <= RARE
    if is_rare and isinstance(control, Counts) and isinstance(candidate, Counts):
        return _look_at_events(control, candidate, design, base_rate)
    if isinstance(control, LogHistogram) and isinstance(candidate, LogHistogram):
        concentration = concentration_for(design.planned_units / 2, design.alpha)
        return compare_quantiles(control, candidate, _quantile(metric), design.alpha, concentration)
    first, second = _estimate(metric, control, candidate)
    return means.compare(first, second, design.alpha, design.planned_units)


def _look_at_events(control: Counts, candidate: Counts, design: Design, base_rate: float) -> Look:
    """The ratio of the rates of successes or of failures, whichever were rare before the start."""
    of_failures = base_rate > 0.5
    concentration = concentration_for(design.planned_units * min(base_rate, 1 - base_rate), design.alpha)
    if of_failures:
        control, candidate = control.failures, candidate.failures
    return replace(compare_rates(control, candidate, design.alpha, concentration), of_failures=of_failures)


def _look_once(metric: Metric, control: OutcomeSample, candidate: OutcomeSample, design: Design) -> Look:
    """The look at the planned size; before it, one that says nothing."""
    first, second = _estimate(metric, control, candidate)
    look = compare_once(first, second, design.alpha)
    if float(first.units) + float(second.units) >= design.planned_units:
        return look
    return replace(look, low=-math.inf, high=math.inf, log_e=0.0)


def _estimate(metric: Metric, control: OutcomeSample, candidate: OutcomeSample) -> tuple[Estimate, Estimate]:
    """The values of both by the metric's kind."""
    if isinstance(control, PairMoments) and isinstance(candidate, PairMoments) and metric.kind != "ratio":
        return estimate_adjusted(control, candidate)
    return _estimate_alone(metric, control), _estimate_alone(metric, candidate)


def _estimate_alone(metric: Metric, sample: OutcomeSample) -> Estimate:
    match sample:
        case Counts():
            return estimate_rate(sample)
        case Moments():
            return estimate_mean(sample)
        case PairMoments():
            return estimate_ratio(sample)
        case LogHistogram():
            return estimate_quantile(sample, _quantile(metric))


def _quantile(metric: Metric) -> float:
    return 0.5 if metric.quantile is None else metric.quantile


def _empty(metric: Metric) -> OutcomeSample:
    """The sample before the first outcome."""
    if metric.kind != "quantile" and metric.covariate != "none":
        return PairMoments()
    return _EMPTY[metric.kind]
