"""Plans: enough units for the power that they promise, and not many times as many."""

from functools import partial

import numpy as np
import pytest
from scipy.stats import norm

from serve.experiments.guardrails import log_e_nan
from serve.experiments.statistics.beta_mixture import concentration_for, log_e
from serve.experiments.statistics.estimates import Estimate
from serve.experiments.statistics.means import compare
from serve.experiments.statistics.planning import (
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
from serve.experiments.statistics.quantiles import compare_quantiles, log_e_quantile_harm
from serve.experiments.statistics.rates import log_e_harm
from serve.experiments.statistics.samples import Counts, LogHistogram
from serve.experiments.statistics.shifts import log_e_shift

RNG = np.random.default_rng(11)


def test_one_look_needs_the_textbook_number() -> None:
    plan = plan_means(variance=1.0, effect=0.1, alpha=0.05, power=0.8)
    assert plan.fixed == pytest.approx(4 * ((norm.ppf(0.975) + norm.ppf(0.8)) / 0.1) ** 2)
    assert plan.fixed < plan.sequential < 3 * plan.fixed


def test_the_planned_units_show_the_rates_as_often_as_promised() -> None:
    plan = plan_rates(0.1, 1.3, power=0.8)
    units = int(plan.sequential)
    events = RNG.binomial(units // 2, [0.1, 0.13], (2000, 2)).astype(float)
    evidence = log_e(events[:, 1], events[:, 0], 0.5, concentration_for(units * 0.1, 0.05))
    assert 0.75 < np.mean(np.asarray(evidence) >= np.log(20)) < 0.9
    assert plan.sequential < 3 * plan.fixed


def test_the_planned_units_show_the_means_as_often_as_promised() -> None:
    units = plan_means(1.0, 0.1, power=0.9).sequential
    effect = 0.1 + RNG.normal(0, np.sqrt(4 / units), 2000)
    look = compare(Estimate(0.0, 1.0, units / 2), Estimate(effect, 1.0, units / 2), 0.05, units)
    assert 0.87 < np.mean(look.is_decided) < 0.93


def test_the_detectable_effects_need_the_units_they_are_of() -> None:
    ratio = detectable_ratio(0.1, 20_000)
    assert plan_rates(0.1, ratio).sequential == pytest.approx(20_000, rel=0.02)
    effect = detectable_effect(1.0, 20_000)
    assert plan_means(1.0, effect).sequential == pytest.approx(20_000, rel=0.01)


def test_the_planned_units_show_the_quantile_as_often_as_promised() -> None:
    plan = plan_quantile(LogHistogram.of(RNG.lognormal(0, 0.5, 20_000)), 0.9, 1.2, power=0.8)
    arm = int(plan.sequential / 2)
    concentration = concentration_for(arm, 0.05)
    decided = [
        bool(
            compare_quantiles(
                LogHistogram.of(RNG.lognormal(0, 0.5, arm)),
                LogHistogram.of(1.2 * RNG.lognormal(0, 0.5, arm)),
                0.9,
                0.05,
                concentration,
            ).is_decided
        )
        for _ in range(100)
    ]
    assert np.mean(decided) > 0.65


def test_the_detectable_factor_needs_the_units_it_is_of() -> None:
    values = LogHistogram.of(RNG.lognormal(0, 0.5, 20_000))
    factor = detectable_factor(values, 0.9, 10_000)
    assert plan_quantile(values, 0.9, factor).sequential <= 10_000
    assert plan_quantile(values, 0.9, factor / 1.03).sequential > 10_000


def test_a_fall_is_planned_as_a_rise_is() -> None:
    assert plan_rates(0.1, 0.8).sequential == pytest.approx(plan_rates(0.08, 1.25).sequential, rel=0.01)


def test_no_number_of_units_shows_no_effect() -> None:
    assert plan_means(1.0, 0.0).sequential == plan_means(1.0, 0.0).fixed == np.inf
    assert plan_rates(0.1, 1.0).sequential == plan_rates(0.1, 1.0).fixed == np.inf
    assert detectable_ratio(0.5, 200) == np.inf
    assert plan_quantile(LogHistogram.of([1.0, 2.0]), 0.9, 1.0).sequential == np.inf
    assert detectable_factor(LogHistogram.of(RNG.lognormal(0, 9, 500)), 0.9, 10) == np.inf
    assert plan_event_guardrail((0.01, 0.015), partial(log_e_harm, margin=0.5), 0.05) == np.inf
    assert plan_shift_guardrail(0.1, 0.1, 0.05) == plan_shift_guardrail(1.0, 1.0, 0.05) == np.inf
    assert plan_latency_guardrail(LogHistogram.of([1.0, 2.0]), 0.9, 0.25, 1.25, 0.05) == np.inf


def test_a_skewed_mean_needs_the_units_that_a_comparison_waits_for() -> None:
    assert plan_means(1.0, 0.5, skewness=10.0).sequential == 2000
    assert detectable_effect(1.0, 1999, skewness=10.0) == np.inf
    assert detectable_effect(1.0, 2000, skewness=10.0) == detectable_effect(1.0, 2000)


def test_days_are_of_the_traffic() -> None:
    plan = plan_means(1.0, 0.1)
    assert plan.days(1000) == plan.sequential / 1000
    assert plan.days(0) == np.inf


@pytest.mark.parametrize("rates", [(0.01, 0.1), (0.1, 0.4), (0.0, 0.05), (0.0, 1.0)])
def test_errors_stop_the_candidate_within_the_stated_units(rates: tuple[float, float]) -> None:
    weigh = partial(log_e_harm, margin=0.5)
    arm = int(np.ceil(plan_event_guardrail(rates, weigh, 0.05, power=0.95) / 2))
    events = RNG.binomial(arm, rates, (3000, 2)).astype(float)
    evidence = weigh(Counts(arm, events[:, 0]), Counts(arm, events[:, 1]))
    assert np.mean(np.asarray(evidence) >= np.log(20)) > 0.92


def test_a_shift_stops_the_candidate_within_the_stated_units() -> None:
    arm = int(np.ceil(plan_shift_guardrail(0.1, 0.2, 0.05, power=0.95) / 2))
    control = RNG.multinomial(arm, (0.4, 0.6), 2000)
    candidate = RNG.multinomial(arm, (0.6, 0.4), 2000)
    assert np.mean(np.asarray(log_e_shift(control, candidate, 0.1, 0.05)) >= np.log(20)) > 0.9
    assert plan_shift_guardrail(0.1, 1.0, 0.05) < 2 * arm


@pytest.mark.parametrize(("slowdown", "p"), [(1.6, 0.95), (3.0, 0.95), (3.0, 0.5)])
def test_a_slow_candidate_stops_within_the_stated_units_however_chance_splits_them(
    slowdown: float, p: float
) -> None:
    latencies = LogHistogram.of(RNG.lognormal(0, 0.1, 20_000))
    units = int(np.ceil(plan_latency_guardrail(latencies, p, 0.25, slowdown, 0.05)))

    def is_stopped(control: int) -> bool:
        slow = LogHistogram.of(slowdown * RNG.lognormal(0, 0.1, units - control))
        return bool(
            log_e_quantile_harm(LogHistogram.of(RNG.lognormal(0, 0.1, control)), slow, p, 0.25) >= np.log(20)
        )

    assert np.mean([is_stopped(control) for control in RNG.binomial(units, 0.5, 200)]) > 0.93


def test_a_candidate_that_answers_nothing_but_nan_is_stopped_at_once() -> None:
    assert plan_event_guardrail((0.0, 1.0), partial(log_e_nan, margin=0.0), 0.05) < 40
