"""The findings as JSON: what `experiments/{name}/results` answers and reports show."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from adaptact.languages.catalogue import Language
from serve.experiments.definition import Experiment
from serve.experiments.findings import (
    Comparison,
    Harm,
    Observations,
    ShadowFindings,
    Verdict,
)
from serve.experiments.plans import STOPPED, GuardrailPlan
from serve.experiments.statistics.looks import Look

LATENCY_QUANTILES = (0.5, 0.95, 0.99)


def write_results(
    experiment: Experiment,
    observations: Mapping[str, Observations],
    verdict: Verdict,
    language: Language = "en",
    stated: Sequence[GuardrailPlan] = (),
) -> dict[str, Any]:
    """The verdict and all that it rests on; null stands for what is not known and for an open end.

    `stated` says within how many units guardrails stop harm.
    """
    stops = {plan.guardrail: plan for plan in stated}
    found = verdict.candidates
    names = [variant.name for variant in experiment.variants]
    return {
        "verdict": verdict.kind,
        "sentence": verdict.sentences[language],
        "candidate": verdict.leading.name,
        "candidates": [{"name": candidate.name, "verdict": candidate.kind} for candidate in found],
        "metrics": [
            _write_metric(experiment, comparison)
            for candidate in found
            for comparison in candidate.comparisons
        ],
        "guardrails": [
            _write_harm(harm, stops.get(harm.guardrail)) for candidate in found for harm in candidate.harms
        ],
        "sample_ratio": _write_split(names, verdict),
        "shadow": [
            _write_shadow(candidate.name, candidate.shadow) for candidate in found if candidate.shadow
        ],
        "progress": {
            "units": verdict.progress.units,
            "planned_units": verdict.progress.planned_units,
            "open_units": verdict.progress.open_units,
            "days_to_go": verdict.progress.days_to_go,
        },
        "costs": {
            name: _write_costs(observations.get(name, Observations()), experiment.price_per_cpu_hour)
            for name in names
        },
    }


def _write_split(names: list[str], verdict: Verdict) -> dict[str, Any]:
    return {
        "units": dict(zip(names, map(int, verdict.sample_ratio.units), strict=True)),
        "log_e": _finite(verdict.sample_ratio.log_e),
        "is_alarm": verdict.sample_ratio.is_alarm,
        "crossed_units": verdict.crossed_units,
        "incomplete_metrics": list(verdict.incomplete),
        "early_outcomes": dict(verdict.early),
    }


def _write_metric(experiment: Experiment, comparison: Comparison) -> dict[str, Any]:
    """The interval is what all looks so far have in common; the values are those of the last one."""
    metric, look, history = comparison.metric, comparison.look, comparison.history
    variants = (
        (experiment.control.name, look.control, look.units[0]),
        (
            comparison.candidate,
            look.candidate,
            look.units[1],
        ),
    )
    return {
        "name": metric.name,
        "kind": metric.kind,
        "is_primary": metric.is_primary,
        "candidate": comparison.candidate,
        "variants": [
            {"name": name, "value": _finite(float(value)), "units": int(units)}
            for name, value, units in variants
        ],
        "scale": look.scale,
        "of_failures": look.of_failures,
        "effect": _finite(history.effect),
        "low": _finite(history.low),
        "high": _finite(history.high),
        "log_e": _finite(history.log_e),
        "finding": comparison.finding,
        "looks": history.looks,
        "is_steady": history.is_steady,
    }


def _write_harm(harm: Harm, plan: GuardrailPlan | None) -> dict[str, Any]:
    return {
        "kind": harm.guardrail.kind,
        "quantile": harm.guardrail.quantile,
        "candidate": harm.candidate,
        "margin": harm.guardrail.margin,
        "action": harm.guardrail.action,
        "control_value": _finite(harm.control_value),
        "value": _finite(harm.value),
        "log_e": _finite(harm.log_e),
        "is_shown": harm.is_shown,
        "stops_within": plan and {"harm": plan.harm, "units": _finite(plan.units), "share": STOPPED},
    }


def _write_shadow(name: str, shadow: ShadowFindings) -> dict[str, Any]:
    return {
        "candidate": name,
        "agreement": _write_look(shadow.agreement),
        "wins": _write_look(shadow.wins),
        "only_control": shadow.pairs.only_control,
        "only_candidate": shadow.pairs.only_candidate,
    }


def _write_look(look: Look) -> dict[str, Any]:
    effect, low, high = (_finite(float(value)) for value in (look.effect, look.low, look.high))
    return {"effect": effect, "low": low, "high": high, "units": int(look.units[0])}


def _write_costs(known: Observations, price: float | None) -> dict[str, Any]:
    quantiles = {
        f"p{100 * p:g}": _finite(float(known.behaviour.latency.quantile(p))) for p in LATENCY_QUANTILES
    }
    return {
        "latency_us": quantiles,
        "model_bytes": known.expense.model_bytes,
        "memory_bytes": known.expense.memory_bytes,
        "run_seconds_per_thousand": known.expense.run_seconds_per_thousand,
        "cpu_seconds_per_thousand": known.expense.cpu_seconds_per_thousand,
        "price_per_million": known.expense.price_per_million(price),
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
