"""Plans of a whole experiment, from what the control has seen."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from serve.experiments.definition import Metric, Variant
from serve.experiments.findings import Behaviour, Memory, Observations, OutcomeSample
from serve.experiments.guardrails import watch
from serve.experiments.plans import Assumptions, plan_guardrails, plan_metrics
from serve.experiments.statistics.planning import plan_means, plan_rates
from serve.experiments.statistics.samples import Counts, LogHistogram, Moments, PairMoments
from tests.serve.experiments.judged import GUARDRAILS, define, observe

RNG = np.random.default_rng(4)
ASSUMED = Assumptions(units_per_day=1000)


def _metric(kind: str, **fields: object) -> Metric:
    return Metric.model_validate({"name": "y", "kind": kind, "is_primary": True, **fields})


def _answer(field: str, counts: Counts) -> Behaviour:
    changes: dict[str, Any] = {field: counts}
    return replace(Behaviour(), **changes)


def _seen(sample: OutcomeSample) -> Observations:
    return replace(observe(0), outcomes={"y": sample})


def test_a_rare_outcome_is_planned_by_its_events() -> None:
    experiment = define(metrics=(_metric("binary"),), planned_units=50_000)
    (plan,) = plan_metrics(experiment, _seen(Counts(10_000, 500)), ASSUMED)
    assert plan.units == plan_rates(0.05, 1.1).sequential
    assert plan.days == plan.units / 1000
    assert plan.value == 0.05
    assert plan_rates(0.05, 1 + plan.detectable).sequential == pytest.approx(50_000, rel=0.02)


def test_a_high_rate_is_planned_by_its_failures() -> None:
    experiment = define(metrics=(_metric("binary"),))
    (plan,) = plan_metrics(experiment, _seen(Counts(10_000, 9500)), replace(ASSUMED, change=0.02))
    assert plan.units == pytest.approx(plan_rates(0.05, (1 - 0.95 * 1.02) / 0.05).sequential)


def test_a_common_outcome_is_planned_as_a_mean() -> None:
    experiment = define(metrics=(_metric("binary"),))
    (plan,) = plan_metrics(experiment, _seen(Counts(10_000, 4000)), ASSUMED)
    assert plan.units == plan_means(0.24, 0.04).sequential
    assert plan.units_at_once < plan.units


@pytest.mark.parametrize("kind", ["mean", "ratio", "quantile", "adjusted"])
def test_every_kind_is_planned(kind: str) -> None:
    x = RNG.exponential(1, 3000) + 1
    y = x + RNG.normal(size=3000) / 2
    metrics: dict[str, tuple[Metric, OutcomeSample]] = {
        "mean": (_metric("mean"), Moments.of(y)),
        "ratio": (_metric("ratio", denominator="x"), PairMoments.of(y, x)),
        "quantile": (_metric("quantile", quantile=0.9), LogHistogram.of(x)),
        "adjusted": (_metric("mean", covariate="shadow_score"), PairMoments.of(y, x)),
    }
    metric, sample = metrics[kind]
    (plan,) = plan_metrics(define(metrics=(metric,)), _seen(sample), ASSUMED)
    assert 0 < plan.detectable < 0.3
    assert 0 < plan.units_at_once < plan.units < np.inf


def test_more_variants_need_more_units() -> None:
    sample = _seen(Moments.of(RNG.exponential(1, 3000)))
    two = define(metrics=(_metric("mean"),))
    three = define(metrics=(_metric("mean"),), candidates=(Variant(name="v2"), Variant(name="v3")))
    assert plan_metrics(three, sample, ASSUMED)[0].units > 1.5 * plan_metrics(two, sample, ASSUMED)[0].units


@pytest.mark.parametrize(
    "sample",
    [Counts(), Counts(500, 0), Moments(), Moments.of([1.0]), Moments.of([0.0] * 500), LogHistogram.of([])],
)
def test_nothing_is_planned_from_outcomes_that_do_not_vary(
    sample: Counts | Moments | LogHistogram,
) -> None:
    kind = {Counts: "binary", Moments: "mean", LogHistogram: "quantile"}[type(sample)]
    metric = _metric(kind, **({"quantile": 0.9} if kind == "quantile" else {}))
    assert plan_metrics(define(metrics=(metric,)), _seen(sample), ASSUMED) == ()
    assert plan_metrics(define(metrics=(metric,)), Observations(), ASSUMED) == ()


def test_guardrails_state_when_they_stop_harm() -> None:
    control = observe(100, errors=Counts(1000, 20))
    plans = {plan.guardrail.kind: plan for plan in plan_guardrails(define(), control, ASSUMED)}
    assert set(plans) == {guardrail.kind for guardrail in GUARDRAILS}
    assert all(0 < plan.units < 20_000 for plan in plans.values())
    assert plans["latency"].days == plans["latency"].units / 1000
    harms = {kind: plan.harm for kind, plan in plans.items()}
    assert harms == pytest.approx(
        {"error_rate": 0.06, "latency": 3, "nan": 0.05, "prediction_shift": 0.2, "disagreement": 0.2}
    )


def test_stated_units_hold_those_that_come_until_a_look_has_stopped_the_candidate() -> None:
    def plan(units_per_day: float) -> tuple[float, float]:
        assumed = Assumptions(units_per_day, kept_per_second=100)
        (first,) = plan_guardrails(define(guardrails=GUARDRAILS[:1]), observe(100), assumed)
        return first.evidence_units, first.units

    evidence, units = plan(0)
    assert units == evidence
    # Two a second: 20 until the next look, and 6 until every worker knows.
    assert plan(2 * 86_400) == (evidence, evidence + 26)
    # Of 1000 a second one in ten is kept: a look after 100 of these.
    assert plan(1000 * 86_400)[1] == pytest.approx(10 * evidence + 1000 + 3000)


def test_guardrails_are_planned_before_the_first_request() -> None:
    kinds = [plan.guardrail.kind for plan in plan_guardrails(define(), Observations(), ASSUMED)]
    assert kinds == ["error_rate", "nan", "prediction_shift", "disagreement"]


@pytest.mark.parametrize("kind", ["error_rate", "nan", "disagreement"])
def test_harm_stops_the_candidate_within_the_stated_units(kind: str) -> None:
    guardrail = next(guardrail for guardrail in GUARDRAILS if guardrail.kind == kind)
    (plan,) = plan_guardrails(define(guardrails=(guardrail,)), Observations(), ASSUMED)
    units = math.ceil(plan.units if kind == "disagreement" else plan.units / 2)
    fields = {"error_rate": "errors", "nan": "nans", "disagreement": "disagreements"}
    stopped = [
        watch(
            guardrail,
            "v2",
            (Behaviour(), _answer(fields[kind], Counts(units, int(events)))),
            0.05,
            Memory(),
        ).is_shown
        for events in RNG.binomial(units, plan.harm, 300)
    ]
    assert np.mean(stopped) > 0.9


def test_no_traffic_never_ends() -> None:
    control = _seen(Counts(10_000, 4000))
    (plan,) = plan_metrics(define(metrics=(_metric("binary"),)), control, Assumptions(0))
    assert plan.days == np.inf
