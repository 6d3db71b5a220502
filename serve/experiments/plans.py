"""What an experiment will show, before it starts: from the traffic that the control has seen."""

import math
from dataclasses import dataclass
from functools import partial

from serve.experiments.comparisons import RARE, design_of
from serve.experiments.definition import Experiment, Guardrail, Metric
from serve.experiments.findings import Behaviour, Observations, OutcomeSample
from serve.experiments.guardrails import guardrail_alpha, log_e_nan
from serve.experiments.statistics.estimates import (
    Estimate,
    estimate_adjusted,
    estimate_mean,
    estimate_rate,
    estimate_ratio,
)
from serve.experiments.statistics.looks import Values
from serve.experiments.statistics.pairs import log_e_disagreement
from serve.experiments.statistics.planning import (
    Requirement,
    detectable_effect,
    detectable_factor,
    detectable_ratio,
    plan_event_guardrail,
    plan_latency_guardrail,
    plan_means,
    plan_quantile,
    plan_rates,
    plan_shift_guardrail,
)
from serve.experiments.statistics.rates import HARM_CONCENTRATION, log_e_harm
from serve.experiments.statistics.samples import Counts, LogHistogram, Moments, PairMoments
from serve.experiments.steering import LOOK_ANSWERS, LOOK_SECONDS, REACTION_SECONDS

STOPPED = 0.95
"""Of experiments with the assumed harm, the share that is stopped within the units that the plan states."""


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What is asked of the plan."""

    units_per_day: float
    change: float = 0.1
    """The relative change of each metric that should be shown: 0.1 for 10 %."""
    harm: float = 3.0
    """How many times as high error rates and latencies are assumed for guardrails."""
    harmful_share: float = 0.05
    """The share of units with an error, or with NaN, that is assumed at least."""
    power: float = 0.8
    kept_per_second: float = math.inf
    """Answers that are kept at most (`docs/experiment-definition.md`)."""


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
    """Within how many units, of all variants together, the assumed harm stops a candidate.

    It does so in the share `STOPPED` of experiments at least, where it does that harm from its beginning.
    """

    guardrail: Guardrail
    harm: float
    """What is assumed of the candidate: how many times as slow it is, else a share or the change of one."""
    evidence_units: float
    """Units whose answers show the harm."""
    units: float
    """The same and those that come until a look sees it and every worker knows."""
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
    """A plan of each guardrail; of latency only where the control has answered."""
    alpha = guardrail_alpha(experiment)
    plans = []
    for guardrail in experiment.guardrails:
        if known := _plan_guardrail(guardrail, control.behaviour, assumptions, alpha):
            harm, pair_units = known
            # In shadow every request is a pair, however many candidates there are.
            scale = 1.0 if guardrail.kind == "disagreement" else len(experiment.variants) / 2
            evidence = pair_units * scale
            units = _add_unseen(evidence, assumptions)
            plans.append(GuardrailPlan(guardrail, harm, evidence, units, _days(units, assumptions)))
    return tuple(plans)


def _add_unseen(evidence_units: float, assumptions: Assumptions) -> float:
    """Units that have come by the time at which the candidate is stopped, at the pace that is assumed."""
    pace = assumptions.units_per_day / 86_400
    thinned = max(1.0, pace / assumptions.kept_per_second)
    until_look = min(LOOK_ANSWERS * thinned, pace * LOOK_SECONDS)
    return evidence_units * thinned + math.ceil(until_look + pace * REACTION_SECONDS)


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
    skewness = float(estimate.skewness)
    detectable = detectable_effect(variance, units, *levels, skewness) / abs(value)
    return value, detectable, plan_means(variance, value * change, *levels, skewness)


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


def _plan_guardrail(
    guardrail: Guardrail, control: Behaviour, assumptions: Assumptions, alpha: float
) -> tuple[float, float] | None:
    """The harm that is assumed, and the units of the control and one candidate that it takes to stop it."""
    margin = guardrail.margin
    share = assumptions.harmful_share
    double = min(max(2 * margin, share), 1.0)
    match guardrail.kind:
        case "error_rate":
            base = float(control.errors.rate)
            harmful = min(max(base * assumptions.harm, share), 1.0)
            weigh = partial(log_e_harm, margin=margin)
            return harmful, plan_event_guardrail((base, harmful), weigh, alpha, STOPPED)
        case "nan":
            base, harmful = float(control.nans.rate), min(max(margin * assumptions.harm, share), 1.0)
            weigh = partial(log_e_nan, margin=margin)
            return harmful, plan_event_guardrail((base, harmful), weigh, alpha, STOPPED)
        case "latency" if float(control.latency.units):
            p = 0.95 if guardrail.quantile is None else guardrail.quantile
            harm = assumptions.harm
            return harm, plan_latency_guardrail(control.latency, p, margin, harm, alpha, STOPPED)
        case "prediction_shift":
            return double, plan_shift_guardrail(margin, double, alpha, STOPPED)
        case "disagreement":
            weigh_pairs = partial(_weigh_disagreement, margin=margin)
            # Each request is a pair, so that half as many are needed as of units in two groups.
            return double, plan_event_guardrail((0.0, double), weigh_pairs, alpha, STOPPED) / 2
        case _:
            return None


def _weigh_disagreement(control: Counts, candidate: Counts, margin: float) -> Values:
    return log_e_disagreement(candidate, margin, HARM_CONCENTRATION)


def _days(units: float, assumptions: Assumptions) -> float:
    return units / assumptions.units_per_day if assumptions.units_per_day > 0 else float("inf")
