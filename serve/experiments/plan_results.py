"""A plan as JSON: what `experiments/{name}/plan` answers and `adaptact experiment plan` shows."""

import math
from collections.abc import Sequence
from typing import Any

from serve.experiments.definition import Experiment
from serve.experiments.plans import STOPPED, Assumptions, GuardrailPlan, MetricPlan


def write_plan(
    experiment: Experiment,
    metrics: Sequence[MetricPlan],
    guardrails: Sequence[GuardrailPlan],
    assumptions: Assumptions,
) -> dict[str, Any]:
    """The plan of every metric and guardrail; null stands for never, and what is not known is named apart."""
    planned = {plan.metric.name for plan in metrics}
    watched = [plan.guardrail for plan in guardrails]
    per_day = assumptions.units_per_day
    return {
        "name": experiment.name,
        "planned_units": experiment.planned_units,
        "days": experiment.planned_units / per_day if per_day > 0 else None,
        "assumptions": {
            "units_per_day": per_day,
            "change": assumptions.change,
            "harm": assumptions.harm,
            "harmful_share": assumptions.harmful_share,
            "power": assumptions.power,
        },
        "metrics": [_write_metric(plan) for plan in metrics],
        "guardrails": [_write_guardrail(plan) for plan in guardrails],
        "unplanned_metrics": [metric.name for metric in experiment.metrics if metric.name not in planned],
        "unplanned_guardrails": [
            guardrail.kind for guardrail in experiment.guardrails if guardrail not in watched
        ],
    }


def _write_metric(plan: MetricPlan) -> dict[str, Any]:
    return {
        "name": plan.metric.name,
        "kind": plan.metric.kind,
        "is_primary": plan.metric.is_primary,
        "value": _finite(plan.value),
        "detectable": _finite(plan.detectable),
        "units": _finite(plan.units),
        "units_at_once": _finite(plan.units_at_once),
        "days": _finite(plan.days),
    }


def _write_guardrail(plan: GuardrailPlan) -> dict[str, Any]:
    return {
        "kind": plan.guardrail.kind,
        "quantile": plan.guardrail.quantile,
        "margin": plan.guardrail.margin,
        "action": plan.guardrail.action,
        "harm": _finite(plan.harm),
        "evidence_units": _finite(plan.evidence_units),
        "units": _finite(plan.units),
        "share": STOPPED,
        "days": _finite(plan.days),
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
