"""Every pair of stage and act, and what a comparison outlives."""

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.experiments.definition import Experiment
from serve.experiments.errors import IncompatibleVariantsError, StageError
from serve.experiments.stages import (
    ACTS,
    STAGES,
    Act,
    Change,
    Phase,
    Stage,
    advance,
    amend,
    changes_comparison,
    draft,
    pause,
    possible_acts,
    promote,
    resume,
    start,
    take,
)
from tests.serve.experiments.definitions import make_experiment

EXPERIMENT = make_experiment()
NO_SHADOW = make_experiment(stages={"shadow_share": 0.0})
CHANGE = Change(2_000, "anna", "why")
DO: dict[Act, Callable[[Experiment, Phase, Change], Phase]] = {
    act: partial(take, act, candidate="candidate") for act in ACTS if act != "amend"
} | {"amend": lambda experiment, phase, change: amend(experiment, phase, change, experiment)}
# What each act leads to from each stage and step; whatever is missing is refused.
NEXT: dict[tuple[Stage, float], dict[Act, tuple[Stage, float]]] = {
    ("draft", 0): {"start": ("shadow", 0), "stop": ("stopped", 0), "amend": ("draft", 0)},
    ("shadow", 0): {
        "advance": ("ramp", 1),
        "pause": ("paused", 0),
        "stop": ("stopped", 0),
        "amend": ("shadow", 0),
    },
    ("ramp", 1): {
        "advance": ("ramp", 5),
        "pause": ("paused", 1),
        "stop": ("stopped", 0),
        "promote": ("promoted", 0),
        "amend": ("ramp", 1),
    },
    ("ramp", 50): {
        "pause": ("paused", 50),
        "stop": ("stopped", 0),
        "promote": ("promoted", 0),
        "amend": ("ramp", 50),
    },
    ("paused", 0): {"resume": ("shadow", 0), "stop": ("stopped", 0), "amend": ("paused", 0)},
    ("paused", 25): {
        "resume": ("ramp", 25),
        "stop": ("stopped", 0),
        "promote": ("promoted", 0),
        "amend": ("paused", 25),
    },
    ("stopped", 0): {"start": ("shadow", 0), "amend": ("draft", 0)},
    ("promoted", 0): {},
}


def make_phase(stage: Stage, step_percent: float = 0.0) -> Phase:
    return Phase(7, 3, stage, step_percent, 1_000, "bert", "")


def test_every_stage_is_in_the_table() -> None:
    assert {stage for stage, _ in NEXT} == set(STAGES)
    assert set(DO) == set(ACTS)


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize(("stage", "step"), NEXT)
def test_each_act_in_each_stage(stage: Stage, step: float, act: Act) -> None:
    phase = make_phase(stage, step)
    expected = NEXT[stage, step]
    assert set(possible_acts(EXPERIMENT, phase)) == set(expected)
    if act not in expected:
        with pytest.raises(StageError) as caught:
            DO[act](EXPERIMENT, phase, CHANGE)
        assert f"`{act}` is not possible for experiment `exp` in stage `{stage}`" in str(caught.value)
        assert set(caught.value.possible) == set(expected)
        return
    after = DO[act](EXPERIMENT, phase, CHANGE)
    assert (after.stage, after.step_percent) == expected[act]
    assert (after.number, after.started_at, after.by, after.reason) == (8, 2_000, "anna", "why")
    assert after.comparison == 3 + (stage == "stopped")
    assert after.promoted == ("candidate" if act == "promote" else None)


def test_an_experiment_begins_as_a_draft() -> None:
    assert draft(CHANGE) == Phase(1, 1, "draft", 0.0, 2_000, "anna", "why")


def test_the_ramp_goes_step_by_step_without_a_new_comparison() -> None:
    phase, steps = start(EXPERIMENT, draft(CHANGE), CHANGE), []
    while "advance" in possible_acts(EXPERIMENT, phase):
        phase = advance(EXPERIMENT, phase, CHANGE)
        steps.append(phase.step_percent)
        phase = resume(EXPERIMENT, pause(EXPERIMENT, phase, CHANGE), CHANGE)
    assert steps == [1, 5, 10, 25, 50]
    assert phase.comparison == 1
    assert phase.number == 2 + 3 * len(steps)


def test_without_a_shadow_the_start_is_the_first_step() -> None:
    assert start(NO_SHADOW, make_phase("draft"), CHANGE).step_percent == 1
    assert start(NO_SHADOW, make_phase("stopped"), CHANGE).stage == "ramp"


def test_only_a_candidate_is_promoted() -> None:
    for name in ("control", "other", ""):
        with pytest.raises(StageError, match="expected one of its candidates `candidate`; possible now:"):
            promote(EXPERIMENT, make_phase("ramp", 50), CHANGE, name)


def test_another_model_is_not_promoted_whoever_asks() -> None:
    experiment = make_experiment(candidates=[{"name": "candidate", "model": "other"}])
    with pytest.raises(IncompatibleVariantsError, match="only a version of `digits` can take its place"):
        take("promote", experiment, make_phase("ramp", 50), CHANGE, "candidate")


@pytest.mark.parametrize(
    "fields",
    [
        {"candidates": [{"name": "candidate", "version": "3"}]},
        {"control": {"name": "control", "version": "1"}},
        {"metrics": [{"name": "bought", "kind": "binary", "is_primary": True}]},
        {"model": "other"},
        {"alpha": 0.01},
        {"planned_units": 9000},
        {"fixed_horizon": True},
        {"unit_sources": ["header"]},
        {"on_error": "control"},
        {"exclusion": {"group": "g", "from_percent": 0, "to_percent": 50}},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_another_comparison_begins_at_the_first_stage(fields: dict[str, object]) -> None:
    amended = make_experiment(**fields)
    assert changes_comparison(EXPERIMENT, amended)
    after = amend(EXPERIMENT, make_phase("ramp", 10), CHANGE, amended)
    assert (after.stage, after.step_percent, after.comparison) == ("shadow", 0, 4)
    after = amend(EXPERIMENT, make_phase("paused", 10), CHANGE, amended)
    assert (after.stage, after.step_percent, after.comparison) == ("paused", 0, 4)
    assert amend(EXPERIMENT, make_phase("draft"), CHANGE, amended).comparison == 3


@pytest.mark.parametrize(
    "fields",
    [
        {"guardrails": [{"kind": "latency"}]},
        {"stages": {"steps": [1, 20]}},
        {"allow_list": {"anna": "candidate"}},
        {"hide_from_replies": True},
        {"auto_promote": True},
        {"log": {"share": 0.1}},
        {"price_per_cpu_hour": 0.05},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_what_is_not_compared_can_change_midway(fields: dict[str, object]) -> None:
    amended = make_experiment(**fields)
    after = amend(EXPERIMENT, make_phase("ramp", 10), CHANGE, amended)
    assert (after.stage, after.step_percent, after.comparison, after.number) == ("ramp", 10, 3, 8)


def test_a_paused_amendment_without_shadow_resumes_at_the_first_step() -> None:
    amended = make_experiment(stages={"shadow_share": 0.0}, alpha=0.01)
    after = amend(EXPERIMENT, make_phase("paused", 0), CHANGE, amended)
    assert resume(amended, after, CHANGE).step_percent == 1


def test_after_other_steps_the_ramp_goes_on_to_the_next_higher_one() -> None:
    amended = make_experiment(stages={"steps": [2, 5, 20]})
    assert advance(amended, make_phase("ramp", 10), CHANGE).step_percent == 20
    assert "advance" not in possible_acts(amended, make_phase("ramp", 25))


def test_an_experiment_keeps_its_name() -> None:
    with pytest.raises(StageError, match="`exp` cannot become `other`: units are assigned by the name"):
        amend(EXPERIMENT, make_phase("ramp", 10), CHANGE, make_experiment(name="other"))


def test_a_clock_set_back_does_not_turn_phases_round() -> None:
    phase = make_phase("shadow")
    assert pause(EXPERIMENT, phase, Change(1, "anna")).started_at == phase.started_at


@given(st.lists(st.sampled_from(ACTS), max_size=30), st.booleans())
def test_no_series_of_acts_breaks_the_rules(acts: list[Act], has_shadow: bool) -> None:
    experiment = EXPERIMENT if has_shadow else NO_SHADOW
    phase = draft(CHANGE)
    for act in acts:
        if act not in possible_acts(experiment, phase):
            continue
        before, phase = phase, DO[act](experiment, phase, CHANGE)
        assert phase.number == before.number + 1
        assert phase.comparison == before.comparison + (before.stage == "stopped")
        assert (phase.stage == "ramp") <= (phase.step_percent in experiment.stages.steps)
        assert (phase.step_percent > 0) <= (phase.stage in ("ramp", "paused"))
        assert has_shadow or phase.stage != "shadow"
        assert before.stage != "promoted"
