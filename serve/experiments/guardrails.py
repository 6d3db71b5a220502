"""Each guardrail of a candidate: whether harm beyond the margin is shown."""

import math

import numpy as np

from serve.experiments.definition import Experiment, Guardrail
from serve.experiments.findings import Behaviour, Harm, Memory, key_of
from serve.experiments.statistics.looks import Values
from serve.experiments.statistics.pairs import log_e_disagreement
from serve.experiments.statistics.quantiles import log_e_quantile_harm
from serve.experiments.statistics.rates import HARM_CONCENTRATION, log_e_harm
from serve.experiments.statistics.samples import Counts
from serve.experiments.statistics.shifts import align_classes, largest_shift, log_e_shift


def guardrail_alpha(experiment: Experiment) -> float:
    """The level of one guardrail: an experiment without harm is stopped or paused with probability alpha.

    Shadow and ramp are watched apart, and so each has a chance of a false alarm.
    """
    stages = 2 if experiment.stages.shadow_share > 0 else 1
    watched = len(experiment.guardrails) * len(experiment.candidates) * stages
    return experiment.alpha / max(watched, 1)


def watch_candidate(
    experiment: Experiment, candidate: str, behaviours: tuple[Behaviour, Behaviour], memory: Memory
) -> tuple[Harm, ...]:
    """What is known of each harm of a candidate: `behaviours` are the control's and the candidate's."""
    watched, alpha = experiment.guardrails, guardrail_alpha(experiment)
    return tuple(watch(guardrail, candidate, behaviours, alpha, memory) for guardrail in watched)


def watch(
    guardrail: Guardrail,
    candidate: str,
    behaviours: tuple[Behaviour, Behaviour],
    alpha: float,
    memory: Memory,
) -> Harm:
    """What is known of one harm: `behaviours` are the control's and the candidate's."""
    control_value, value = (_measure(guardrail, behaviours, place) for place in (0, 1))
    log_e = _weigh(guardrail, *behaviours, alpha)
    greatest = max(log_e, memory.harms.get(key_of(guardrail, candidate), 0.0))
    return Harm(guardrail, candidate, control_value, value, greatest, greatest >= math.log(1 / alpha))


def _weigh(guardrail: Guardrail, control: Behaviour, candidate: Behaviour, alpha: float) -> float:
    """The logarithm of the e-value against "no harm beyond the margin"."""
    margin = guardrail.margin
    match guardrail.kind:
        case "error_rate":
            return float(log_e_harm(control.errors, candidate.errors, margin))
        case "latency":
            quantile = 0.95 if guardrail.quantile is None else guardrail.quantile
            return float(log_e_quantile_harm(control.latency, candidate.latency, quantile, margin))
        case "nan":
            return float(log_e_nan(control.nans, candidate.nans, margin))
        case "prediction_shift":
            return float(log_e_shift(*align_classes(control.classes, candidate.classes), margin, alpha))
        case "disagreement":
            return float(log_e_disagreement(candidate.disagreements, margin, HARM_CONCENTRATION))


def log_e_nan(control: Counts, candidate: Counts, margin: float) -> Values:
    """The evidence of more NaN than is tolerated and than the control answers, whose inputs may hold some."""
    more = log_e_harm(control, candidate, 0.0)
    return np.minimum(more, log_e_disagreement(candidate, margin, HARM_CONCENTRATION))


def _measure(guardrail: Guardrail, behaviours: tuple[Behaviour, Behaviour], place: int) -> float:
    """What the guardrail is about: a rate, microseconds, or the distance from the control."""
    behaviour = behaviours[place]
    match guardrail.kind:
        case "error_rate":
            return float(behaviour.errors.rate)
        case "latency":
            return float(behaviour.latency.quantile(guardrail.quantile or 0.95))
        case "nan":
            return float(behaviour.nans.rate)
        case "prediction_shift":
            classes = (each.classes for each in behaviours)
            return float(largest_shift(*align_classes(*classes))) if place else 0.0
        case "disagreement":
            return float(behaviour.disagreements.rate) if place else 0.0
