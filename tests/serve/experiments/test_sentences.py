"""What a manager reads."""

from dataclasses import replace

import numpy as np
import pytest

from adaptact.languages.catalogue import LANGUAGES
from serve.experiments.definition import Metric
from serve.experiments.findings import Expense, ShadowPairs
from serve.experiments.statistics.samples import Counts, Moments
from serve.experiments.verdicts import Evidence, judge
from tests.serve.experiments.judged import define, gather, observe


def test_a_better_candidate_is_told_with_interval_sample_and_costs() -> None:
    evidence = gather(100, 200, units_per_day=100.0)
    candidate = replace(evidence.observations["v2"], expense=Expense(1e7, 2.5, 1.8, 1.2e8))
    evidence = replace(evidence, observations={**evidence.observations, "v2": candidate})
    sentence = judge(define(price_per_cpu_hour=0.05), evidence).sentences["en"]
    assert sentence == (
        "v2 is better than v1. accepted is 20 % with v2 and 10 % with v1: a difference of +10 points "
        "(95 % interval +4.73 to +15.3 points). Beside it: memory 120 MB instead of 100 MB, 1.8 "
        "instead of 1.5 CPU seconds of runs per thousand requests, 0.025 instead of 0.0208 per million "
        "requests at the set price. Known from 2,000 units, 40 % of the plan."
    )


def test_an_undecided_verdict_says_what_is_missing() -> None:
    sentence = judge(define(), gather(100, 105, open_units=12, units_per_day=1000)).sentences["en"]
    assert sentence.startswith("Undecided between v2 and v1.")
    assert "Known from 2,000 units, 40 % of the plan. 12 more count once the time" in sentence
    assert sentence.endswith("About 3 days to go at today's traffic.")


def test_the_end_of_the_plan_and_no_traffic_are_told() -> None:
    assert "planned units are reached" in judge(define(planned_units=2000), gather(100, 105)).sentences["en"]
    assert "No unit has joined today" in judge(define(), gather(100, 105)).sentences["en"]


def test_harm_is_told_with_both_values() -> None:
    evidence = Evidence({"v1": observe(100), "v2": observe(100, errors=Counts(1000, 60))})
    sentence = judge(define(), evidence).sentences["en"]
    assert sentence.startswith(
        "v2 is harmful. The error rate of v2 is 6 %, the control's 0 %; 50 % more are tolerated."
    )


def test_a_broken_split_is_told_with_its_numbers() -> None:
    evidence = Evidence({"v1": observe(100), "v2": observe(100, units=700)}, crossed_units=90)
    sentence = judge(define(), evidence).sentences["en"]
    assert sentence.startswith("Invalid: nothing can be concluded")
    assert "unlike numbers of units, v1 1,000, v2 700: units are lost" in sentence
    assert "90 units met more than one variant" in sentence
    assert "accepted" not in sentence


def test_outcomes_that_came_too_early_are_told() -> None:
    evidence = gather(100, 105)
    early = replace(evidence.observations["v2"], early_outcomes={"accepted": 7})
    verdict = judge(define(), replace(evidence, observations={**evidence.observations, "v2": early}))
    assert verdict.early == {"accepted": 7}
    assert "7 outcomes of accepted do not count: they happened before" in verdict.sentences["en"]
    assert "accepted の結果 7 件は集計外" in verdict.sentences["ja"]
    assert not judge(define(), evidence).early


def test_failures_are_named_as_such() -> None:
    sentence = judge(define(), gather(900, 960, base_rates={"accepted": 0.9})).sentences["en"]
    assert "The rate of failures of accepted is 4 % with v2 and 10 % with v1" in sentence


def test_differences_have_a_sign_and_rates_are_in_points() -> None:
    rng = np.random.default_rng(2)
    minutes = Metric(name="minutes", kind="mean", is_primary=True)
    observations = {
        name: replace(observe(0), outcomes={"minutes": Moments.of(rng.normal(mean, 1, 1000))})
        for name, mean in (("v1", 5), ("v2", 6))
    }
    sentence = judge(define(metrics=(minutes,)), Evidence(observations)).sentences["en"]
    assert "a difference of +0.9" in sentence
    once = judge(define(fixed_horizon=True, planned_units=2000), gather(100, 200)).sentences["en"]
    assert "a difference of +10 points (95 % interval +6.9" in once


def test_shadow_is_told_with_agreement_and_wins() -> None:
    pairs = {"v2": ShadowPairs(Counts(1000, 950), only_control=5, only_candidate=20)}
    sentence = judge(define(), gather(100, 100, is_shadow=True, pairs=pairs)).sentences["en"]
    assert "In shadow v2 answers 95 % of 1,000 requests as v1 does (95 % interval" in sentence
    assert "only v2 is right on 20, only v1 on 5: 4 times as often (95 % interval 0.932" in sentence
    assert "No outcome of accepted is known yet." in sentence


@pytest.mark.parametrize(("control", "candidate"), [(100, 200), (200, 100), (100, 105), (0, 0)])
def test_every_verdict_is_written_in_every_language(control: int, candidate: int) -> None:
    sentences = judge(define(), gather(control, candidate, open_units=3)).sentences
    assert set(sentences) == set(LANGUAGES)
    for sentence in sentences.values():
        assert "v2" in sentence
        assert "{" not in sentence
    assert any("぀" <= character <= "ヿ" for character in sentences["ja"])
