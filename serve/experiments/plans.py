"""What an experiment will show, before it starts: from the traffic that the control has seen."""

from dataclasses import dataclass

from serve.experiments.comparisons import RARE, design_of
from serve.experiments.definition import Experiment, Guardrail, Metric
from serve.experiments.findings import Observations, OutcomeSample
from serve.experiments.guardrails import guardrail_alpha
from serve.experiments.statistics.estimates import (
    Estimate,
    estimate_adjusted,
    estimate_mean,
    estimate_rate,
    estimate_ratio,
)
from serve.experiments.statistics.planning import (
    Requirement,
    detectable_effect,
    detectable_factor,
    detectable_ratio,
    plan_error_guardrail,
    plan_latency_guardrail,
    plan_means,
    plan_quantile,
    plan_rates,
)
from serve.experiments.statistics.samples import Counts, LogHistogram, Moments, PairMoments


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What is asked of the plan."""

    units_per_day: float
    change: float = 0.1
    """The relative change of each metric that should be shown: 0.1 for 10 %."""
    harm: float = 3.0
    """How many times as high error rates and latencies are assumed for guardrails."""
    power: float = 0.8


@dataclass(frozen=True, slots=True)
class MetricPlan:
    """What one metric needs; units are of all variants together."""

    metric: Metric
    value: float
    """The control's."""
    detectable: float
    """The least relative change that the planned units show with the power; infinite if none."""
    units: float
    """Units that the assumed change needs in a sequence, at most."""
    units_at_once: float
    """Units that it needs in a single look at the end."""
    days: float


@dataclass(frozen=True, slots=True)
class GuardrailPlan:
    """Within how many units, of all variants together, the assumed harm stops a candidate."""

    guardrail: Guardrail
    units: float
    days: float


def plan_metrics(
    experiment: Experiment, control: Observations, assumptions: Assumptions
) -> tuple[MetricPlan, ...]:
    """A plan of each metric of which the control has outcomes that vary."""
    plans = (
        _plan_metric(experiment, metric, control.outcomes[metric.name], assumptions)
        for metric in experiment.metrics
        if metric.name in control.outcomes
    )
    return tuple(plan for plan in plans if plan)


def plan_guardrails(
    experiment: Experiment, control: Observations, assumptions: Assumptions
) -> tuple[GuardrailPlan, ...]:
    """A plan of each guardrail on error rates or latency that the control has requests for."""
    alpha, scale = guardrail_alpha(experiment), len(experiment.variants) / 2
    plans = []
    for guardrail in experiment.guardrails:
        units = _plan_guardrail(guardrail, control, assumptions.harm, alpha)
        if units is not None:
            plans.append(GuardrailPlan(guardrail, units * scale, _days(units * scale, assumptions)))
    return tuple(plans)


def base_rates(experiment: Experiment, control: Observations) -> dict[str, float]:
    """By binary metric the control's rate, to be kept from the start on: it decides how it is compared."""
    return {
        metric.name: float(sample.rate)
        for metric in experiment.metrics
        if isinstance(sample := control.outcomes.get(metric.name), Counts) and sample.units
    }


def _plan_metric(
    experiment: Experiment, metric: Metric, sample: OutcomeSample, assumptions: Assumptions
) -> MetricPlan | None:
    design, scale = design_of(experiment, {}), len(experiment.variants) / 2
    change, levels = assumptions.change, (design.alpha, assumptions.power)
    found: tuple[float, float, Requirement] | None
    if isinstance(sample, LogHistogram):
        found = _plan_quantile(metric, sample, change, design.planned_units, levels)
    elif isinstance(sample, Counts) and 0 < min(float(sample.rate), 1 - float(sample.rate)) <= RARE:
        found = _plan_rare(float(sample.rate), change, design.planned_units, levels)
    else:
        found = _plan_mean(_estimate(metric, sample), change, design.planned_units, levels)
    if found is None:
        return None
    value, detectable, needed = found
    units = needed.sequential * scale
    return MetricPlan(metric, value, detectable, units, needed.fixed * scale, _days(units, assumptions))


def _plan_rare(
    rate: float, change: float, units: float, levels: tuple[float, float]
) -> tuple[float, float, Requirement]:
    """By the rarer of both outcomes; its change follows from that of the rate of successes."""
    rarer = min(rate, 1 - rate)
    ratio = 1 + change if rate == rarer else max((1 - rate * (1 + change)) / rarer, 0.01)
    detectable = (detectable_ratio(rarer, units, *levels) - 1) * rarer / rate
    return rate, detectable, plan_rates(rarer, ratio, *levels)


def _plan_mean(
    estimate: Estimate, change: float, units: float, levels: tuple[float, float]
) -> tuple[float, float, Requirement] | None:
    value, variance = float(estimate.value), float(estimate.variance)
    if not (0 < variance < float("inf")) or value == 0:
        return None
    detectable = detectable_effect(variance, units, *levels) / abs(value)
    return value, detectable, plan_means(variance, value * change, *levels)


def _plan_quantile(
    metric: Metric, sample: LogHistogram, change: float, units: float, levels: tuple[float, float]
) -> tuple[float, float, Requirement] | None:
    if not float(sample.units):
        return None
    p = 0.5 if metric.quantile is None else metric.quantile
    detectable = detectable_factor(sample, p, units, *levels) - 1
    return float(sample.quantile(p)), detectable, plan_quantile(sample, p, 1 + change, *levels)


def _estimate(metric: Metric, sample: OutcomeSample) -> Estimate:
    match sample:
        case PairMoments() if metric.kind == "ratio":
            return estimate_ratio(sample)
        case PairMoments():
            return estimate_adjusted(sample, sample)[0]
        case Moments():
            return estimate_mean(sample)
        case Counts():
            return estimate_rate(sample)
        case LogHistogram():
            raise AssertionError("quantiles are planned by their distribution")


def _plan_guardrail(guardrail: Guardrail, control: Observations, harm: float, alpha: float) -> float | None:
    behaviour = control.behaviour
    if guardrail.kind == "error_rate" and behaviour.errors.events:
        return plan_error_guardrail(float(behaviour.errors.rate), guardrail.margin, harm, alpha)
    if guardrail.kind == "latency" and float(behaviour.latency.units):
        quantile = 0.95 if guardrail.quantile is None else guardrail.quantile
        return plan_latency_guardrail(behaviour.latency, quantile, guardrail.margin, harm, alpha)
    return None


def _days(units: float, assumptions: Assumptions) -> float:
    return units / assumptions.units_per_day if assumptions.units_per_day > 0 else float("inf")
