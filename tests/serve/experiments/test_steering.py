from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from serve.experiments.definition import Guardrail
from serve.experiments.findings import (
    CandidateFindings,
    Harm,
    Memory,
    Observations,
    Progress,
    Verdict,
    VerdictKind,
)
from serve.experiments.reasons import REASONS
from serve.experiments.stages import Phase, Stage
from serve.experiments.statistics.sample_ratio import check_sample_ratio
from serve.experiments.statistics.samples import Moments
from serve.experiments.steering import choose_step
from serve.experiments.verdicts import Evidence, judge
from tests.serve.experiments.definitions import make_experiment

HOUR = 3600 * 1_000_000
ENOUGH = {"candidate": 100}


def make_phases(*stages: Stage, step: float = 0.0, comparison: int = 1) -> list[Phase]:
    return [
        Phase(number, comparison, stage, step, 0, "anne", "") for number, stage in enumerate(stages, start=1)
    ]


def make_harm(kind: Any, action: Any) -> Harm:
    return Harm(Guardrail(kind=kind, action=action), "candidate", 0.0, 1.0, 10.0, True)


def make_verdict(kind: VerdictKind, *harms: Harm) -> Verdict:
    found = CandidateFindings("candidate", kind, (), harms)
    ratio = check_sample_ratio([100, 100], [0.5, 0.5])
    return Verdict(kind, found, (found,), ratio, 0, (), Progress(0, 5000, 0, None), Memory())


def choose(phases: list[Phase], verdict: Verdict, now: int = 2 * HOUR, **fields: Any) -> Any:
    step = choose_step(make_experiment(**fields), phases, verdict, ENOUGH, now)
    return None if step is None else (step.act, step.candidate)


SHADOW = make_phases("draft", "shadow")
RAMP = make_phases("draft", "shadow", "ramp", step=1.0)
LAST = make_phases("draft", "shadow", "ramp", step=50.0)


@pytest.mark.parametrize("phases", [SHADOW, RAMP, LAST])
def test_a_harm_stops_in_every_stage(phases: list[Phase]) -> None:
    verdict = make_verdict("harmful", make_harm("latency", "stop"), make_harm("nan", "pause"))
    step = choose_step(make_experiment(), phases, verdict, {}, 0)
    assert step is not None
    assert (step.act, step.reason) == ("stop", "a guardrail: `latency` of `candidate`")


def test_a_signal_and_a_broken_split_pause() -> None:
    assert choose(RAMP, make_verdict("undecided", make_harm("nan", "pause"))) == ("pause", "")
    assert choose(RAMP, make_verdict("invalid")) == ("pause", "")


def make_resumed(reason: str) -> list[Phase]:
    phases = make_phases("draft", "ramp", "paused", "ramp", step=1.0)
    phases[2] = replace(phases[2], reason=reason)
    return phases


def test_whoever_resumes_is_not_paused_again_for_the_same() -> None:
    seen = make_resumed(REASONS["harm"].format(harms="`latency` of `candidate`, `nan` of `candidate`"))
    assert choose(seen, make_verdict("undecided", make_harm("nan", "pause"))) == ("advance", "")
    split = make_resumed(REASONS["split"])
    assert choose(split, make_verdict("invalid")) is None
    another = [*split, Phase(5, 2, "ramp", 1.0, 0, "anne", "")]
    assert choose(another, make_verdict("invalid")) == ("pause", "")


@pytest.mark.parametrize(
    "reason",
    [
        "maintenance of the machines",
        REASONS["changed"].format(change="`control` does not answer"),
        REASONS["harm"].format(harms="`latency` of `candidate`, `nan` of `other`"),
    ],
)
def test_a_signal_pauses_that_was_not_why_the_experiment_was_paused(reason: str) -> None:
    resumed = make_resumed(reason)
    assert choose(resumed, make_verdict("invalid")) == ("pause", "")
    assert choose(resumed, make_verdict("undecided", make_harm("nan", "pause"))) == ("pause", "")


def test_the_next_step_begins_by_itself_once_the_last_has_been_held() -> None:
    undecided = make_verdict("undecided")
    assert choose(SHADOW, undecided) == ("advance", "")
    assert choose(RAMP, undecided, now=HOUR) == ("advance", "")
    assert choose(RAMP, undecided, now=HOUR - 1) is None
    assert choose(RAMP, undecided, stages={"hold_units": 101}) is None
    assert choose(RAMP, undecided, stages={"auto_advance": False}) is None
    assert choose(LAST, undecided) is None


def test_all_candidates_must_have_met_units() -> None:
    candidates = [{"name": "candidate", "version": "2"}, {"name": "other", "version": "3"}]
    assert choose(RAMP, make_verdict("undecided"), candidates=candidates) is None


def test_a_better_candidate_is_promoted_if_so_defined() -> None:
    assert choose(LAST, make_verdict("better"), auto_promote=True) == ("promote", "candidate")
    assert choose(LAST, make_verdict("better")) is None
    assert choose(LAST, make_verdict("worse"), auto_promote=True) is None
    assert choose(SHADOW, make_verdict("better"), auto_promote=True) == ("advance", "")


@pytest.mark.parametrize("stage", ["draft", "paused", "stopped", "promoted"])
def test_what_does_not_run_is_left_alone(stage: Stage) -> None:
    phases = make_phases("draft", stage)
    assert choose(phases, make_verdict("harmful", make_harm("latency", "stop"))) is None


def test_a_win_on_outcomes_of_unlike_shares_of_units_is_not_promoted() -> None:
    units = {"v1": Observations(5000, {"accepted": Moments.of(np.arange(900) % 2)})}
    units["v2"] = Observations(5000, {"accepted": Moments.of(1 + np.arange(300) % 2)})
    metric = {"name": "accepted", "kind": "mean", "is_primary": True}
    fields: dict[str, Any] = {"metrics": [metric], "auto_promote": True}
    variants = {"control": {"name": "v1"}, "candidates": [{"name": "v2", "version": "2"}]}
    verdict = judge(make_experiment(**fields, **variants), Evidence(units))
    assert (verdict.kind, verdict.incomplete) == ("better", ("accepted",))
    assert choose(LAST, verdict, **fields) is None
    assert choose(LAST, replace(verdict, incomplete=("other",)), **fields) == ("promote", "v2")
