"""The verdict: what outweighs what, and what is remembered."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from serve.experiments.definition import Guardrail, Metric, Variant
from serve.experiments.findings import Memory, Observations, ShadowPairs
from serve.experiments.statistics.samples import Counts, Moments
from serve.experiments.verdicts import Evidence, judge
from tests.serve.experiments.judged import ACCEPTED, define, gather, observe


@pytest.mark.parametrize(
    ("control", "candidate", "kind"),
    [(100, 200, "better"), (200, 100, "worse"), (100, 105, "undecided"), (0, 0, "undecided")],
)
def test_the_verdict_follows_the_primary_metric(control: int, candidate: int, kind: str) -> None:
    assert judge(define(), gather(control, candidate)).kind == kind


def test_a_metric_that_should_decrease_turns_the_verdict() -> None:
    experiment = define(metrics=(ACCEPTED.model_copy(update={"direction": "decrease"}),))
    assert judge(experiment, gather(100, 200)).kind == "worse"


def test_variants_inside_the_margin_are_equivalent() -> None:
    assert judge(define(), gather(30_000, 30_100, units=100_000)).kind == "equivalent"
    rare = {"accepted": 0.95}
    assert judge(define(), gather(95_000, 95_010, units=100_000, base_rates=rare)).kind == "equivalent"
    without = define(metrics=(ACCEPTED.model_copy(update={"equivalence_margin": None}),))
    assert judge(without, gather(30_000, 30_100, units=100_000)).kind == "undecided"


def test_harm_outweighs_a_gain() -> None:
    evidence = Evidence({"v1": observe(100), "v2": observe(200, errors=Counts(1000, 60))})
    verdict = judge(define(), evidence)
    assert verdict.kind == "harmful"
    assert [harm.guardrail.kind for harm in verdict.stopping] == ["error_rate"]


def test_a_broken_split_outweighs_harm() -> None:
    evidence = Evidence({"v1": observe(100), "v2": observe(60, units=700, errors=Counts(700, 60))})
    verdict = judge(define(), evidence)
    assert verdict.kind == "invalid"
    assert verdict.stopping  # what harms is stopped all the same


def test_units_that_meet_several_variants_make_it_invalid() -> None:
    assert judge(define(), gather(100, 200, crossed_units=50)).kind == "invalid"
    assert judge(define(), gather(100, 200, crossed_units=3)).kind == "better"


def test_shadow_has_no_split_and_decides_nothing_by_its_pairs() -> None:
    pairs = {"v2": ShadowPairs(Counts(1000, 900), only_control=10, only_candidate=80)}
    units = {"v1": observe(100), "v2": replace(observe(0), units=0, outcomes={})}
    verdict = judge(define(), Evidence(units, is_shadow=True, pairs=pairs))
    assert verdict.kind == "undecided"
    shadow = verdict.leading.shadow
    assert shadow
    assert shadow.agreement.effect == 0.9
    assert shadow.wins.low > 1


def test_a_signal_pauses_without_being_harm() -> None:
    signals = tuple(guard.model_copy(update={"action": "pause"}) for guard in define().guardrails)
    evidence = Evidence({"v1": observe(100), "v2": observe(100, errors=Counts(1000, 60))})
    verdict = judge(define(guardrails=signals), evidence)
    assert verdict.kind == "undecided"
    assert [harm.guardrail.kind for harm in verdict.pausing] == ["error_rate"]


def test_a_loss_in_one_primary_metric_outweighs_a_gain_in_another() -> None:
    minutes = Metric(name="minutes", kind="mean", is_primary=True)
    rng = np.random.default_rng(1)
    outcomes = [{"minutes": Moments.of(rng.normal(mean, 1, 1000))} for mean in (5, 4)]
    observations = [
        replace(known, outcomes={**known.outcomes, **extra})
        for known, extra in zip((observe(100), observe(200)), outcomes, strict=True)
    ]
    evidence = Evidence(dict(zip(("v1", "v2"), observations, strict=True)))
    assert judge(define(metrics=(ACCEPTED, minutes)), evidence).kind == "worse"
    secondary = minutes.model_copy(update={"is_primary": False})
    assert judge(define(metrics=(ACCEPTED, secondary)), evidence).kind == "better"


def test_the_best_of_several_candidates_leads() -> None:
    experiment = define(candidates=(Variant(name="v2"), Variant(name="v3")))
    evidence = Evidence({"v1": observe(100), "v2": observe(50), "v3": observe(220)})
    verdict = judge(experiment, evidence)
    assert (verdict.kind, verdict.leading.name) == ("better", "v3")
    assert [candidate.kind for candidate in verdict.candidates] == ["worse", "better"]


def test_many_candidates_and_metrics_raise_the_bar() -> None:
    evidence = gather(100, 150)
    assert judge(define(), evidence).kind == "better"
    more = tuple(Metric(name=f"m{number}", kind="mean", is_primary=True) for number in range(20))
    assert judge(define(metrics=(ACCEPTED, *more)), evidence).kind == "undecided"


def test_what_was_shown_once_stays_shown() -> None:
    first = judge(define(), gather(100, 200))
    later = judge(define(), gather(2000, 2040, units=20_000, memory=first.memory))
    assert later.leading.comparisons[0].history.looks == 2
    broken = judge(define(), Evidence({"v1": observe(100), "v2": observe(60, units=700)}))
    mended = judge(define(), gather(10_000, 10_000, units=100_000, memory=broken.memory))
    assert mended.kind == "invalid"
    errors = Evidence({"v1": observe(100), "v2": observe(100, errors=Counts(1000, 60))})
    harmful = judge(define(), errors)
    assert judge(define(), gather(100, 100, memory=harmful.memory)).kind == "harmful"


def test_a_look_without_new_data_changes_no_verdict() -> None:
    verdict = judge(define(), gather(100, 140))
    for _ in range(5):
        again = judge(define(), gather(100, 140, memory=verdict.memory))
        assert again.sentences == verdict.sentences
        verdict = again


def test_an_effect_that_turns_round_is_told() -> None:
    first = judge(define(), gather(100, 220))
    turned = judge(define(), gather(5000, 3000, units=20_000, memory=first.memory))
    assert not turned.leading.comparisons[0].history.is_steady
    assert turned.kind == "worse"
    assert "changes over time" in turned.sentences["en"]


def test_evidence_beyond_one_margin_says_nothing_of_a_wider_one() -> None:
    narrow, wide = (define(guardrails=(Guardrail(kind="error_rate", margin=margin),)) for margin in (0.1, 3))
    harmful = Evidence({"v1": observe(100), "v2": observe(100, errors=Counts(1000, 20))})
    sound = gather(100, 100)
    shown = judge(narrow, harmful)
    assert shown.kind == "harmful"
    assert judge(narrow, replace(sound, memory=shown.memory)).kind == "harmful"
    assert judge(wide, replace(sound, memory=shown.memory)).kind == "undecided"


def test_the_memory_survives_json() -> None:
    for evidence in (gather(100, 200), gather(0, 0), Evidence({})):
        memory = judge(define(), evidence).memory
        written = json.dumps(memory.as_json(), allow_nan=False)
        assert Memory.from_json(json.loads(written)).as_json() == memory.as_json()


def test_the_memory_of_an_older_program_is_read() -> None:
    written = {"histories": [], "harms": [["latency", 0.95, "v2", 1.0]], "sample_ratio": 2.0}
    assert Memory.from_json(written) == Memory(sample_ratio=2.0)


def test_a_fixed_horizon_has_one_look() -> None:
    experiment = define(fixed_horizon=True, planned_units=4000)
    early = judge(experiment, gather(100, 200, units=1900))
    assert early.kind == "undecided"
    assert not early.memory.histories
    look = judge(experiment, gather(200, 260, units=2000, memory=early.memory))
    assert look.kind == "better"
    later = judge(experiment, gather(400, 400, units=4000, memory=look.memory))
    assert later.kind == "better"
    assert later.leading.comparisons[0].history == look.leading.comparisons[0].history


@pytest.mark.parametrize(
    ("base_rate", "scale", "of_failures"),
    [(None, "ratio", True), (0.3, "difference", False), (0.1, "ratio", False), (0.93, "ratio", True)],
)
def test_the_base_rate_decides_how_a_binary_metric_is_compared(
    base_rate: float | None, scale: str, of_failures: bool
) -> None:
    rates = {} if base_rate is None else {"accepted": base_rate}
    verdict = judge(define(), gather(900, 960, base_rates=rates))
    look = verdict.leading.comparisons[0].look
    assert (look.scale, look.of_failures, verdict.kind) == (
        scale,
        of_failures,
        "better" if base_rate != 0.1 else "undecided",
    )


def test_the_comparison_is_chosen_once_by_the_rate_of_all_variants_together() -> None:
    first = judge(define(), gather(2, 3, units=100))
    assert first.memory.base_rates == {"accepted": pytest.approx(5.5 / 201)}
    often = gather(500, 600, memory=first.memory, base_rates={"accepted": 0.4})
    later = judge(define(), often)
    assert later.leading.comparisons[0].look.scale == "ratio"
    assert later.memory.base_rates == first.memory.base_rates
    assert judge(define(), replace(often, memory=Memory())).leading.comparisons[0].look.scale == "difference"


def test_no_comparison_is_chosen_by_too_few_units_or_in_shadow() -> None:
    assert judge(define(), gather(2, 3, units=99)).memory.base_rates == {}
    assert judge(define(), gather(500, 600, is_shadow=True)).memory.base_rates == {}


def test_outcomes_that_arrive_unequally_are_told() -> None:
    evidence = gather(100, 100)
    fewer = replace(evidence.observations["v2"], outcomes={"accepted": Counts(600, 100)})
    verdict = judge(define(), replace(evidence, observations={**evidence.observations, "v2": fewer}))
    assert verdict.incomplete == ("accepted",)
    assert "unlike shares" in verdict.sentences["en"]


def test_progress_counts_units_with_outcomes() -> None:
    progress = judge(define(planned_units=4000), gather(100, 105, open_units=70, units_per_day=500)).progress
    assert (progress.units, progress.share, progress.open_units, progress.days_to_go) == (2000, 0.5, 70, 4)
    half = {name: replace(known, units=2000) for name, known in gather(100, 105).observations.items()}
    slow = judge(define(planned_units=4000), Evidence(half, units_per_day=500)).progress
    assert (slow.units, slow.days_to_go) == (2000, 8)
    done = judge(define(planned_units=2000), gather(100, 105)).progress
    assert (done.share, done.days_to_go) == (1, 0)
    assert judge(define(), gather(100, 105)).progress.days_to_go is None


@pytest.mark.parametrize("changes", [{"metrics": ()}, {"guardrails": ()}, {"metrics": (), "guardrails": ()}])
def test_nothing_known_and_nothing_defined_is_undecided(changes: dict[str, Any]) -> None:
    verdict = judge(define(**changes), Evidence({}))
    assert verdict.kind == "undecided"
    assert verdict.sentences["en"].startswith("Undecided")
    assert (
        judge(define(**changes), Evidence({"v1": Observations(), "v2": Observations()})).kind == "undecided"
    )


@pytest.mark.slow
def test_equal_variants_are_decided_seldom_over_many_looks() -> None:
    rng, decided = np.random.default_rng(5), 0
    for _ in range(40):
        counts, memory = np.zeros(2, dtype=int), Memory()
        for look in range(1, 11):
            counts += rng.binomial(250, 0.2, 2)
            verdict = judge(
                define(guardrails=()), gather(int(counts[0]), int(counts[1]), units=250 * look, memory=memory)
            )
            memory = verdict.memory
        decided += verdict.kind in ("better", "worse")
    assert decided <= 4
