from collections import Counter
from typing import Any

import pytest
from scipy import stats

from serve.experiments.assignment import assign
from serve.experiments.definition import Experiment
from serve.experiments.routing import (
    Decision,
    Route,
    Target,
    make_routes,
)
from serve.experiments.stages import STAGES, Phase, Stage
from serve.experiments.units import Unit
from tests.serve.experiments.definitions import make_experiment

UNITS = [f"unit-{number}" for number in range(4000)]
CONTROL = Target("control", "digits", None)
CANDIDATE = Target("candidate", "digits", "2")
SCORED = [{"name": "bought", "kind": "mean", "is_primary": True, "covariate": "shadow_score"}]
TESTERS = {"anna": "candidate", "bert": "control"}


def make_phase(stage: Stage, step_percent: float = 0.0) -> Phase:
    return Phase(7, 3, stage, step_percent, 0, "anna", "")


def make_route(stage: Stage = "ramp", step_percent: float = 100.0, **fields: Any) -> Route:
    return Route([(make_experiment(**fields), make_phase(stage, step_percent))])


def decide(route: Route, unit: str | None = "unit-1", request_id: str = "r1") -> Decision | None:
    return route.decide(unit, None, request_id)


def find_answered_by(route: Route, variant: str) -> Decision:
    decisions = (decide(route, unit) for unit in UNITS)
    return next(each for each in decisions if each and each.treatment.answer.variant == variant)


@pytest.mark.parametrize("stage", STAGES)
def test_only_shadow_and_ramp_have_a_route(stage: Stage) -> None:
    routes = make_routes([(make_experiment(allow_list=TESTERS), make_phase(stage, 50))])
    assert set(routes) == ({"digits"} if stage in ("shadow", "ramp") else set())


def test_on_the_ramp_the_assignment_answers() -> None:
    experiment, route = make_experiment(), make_route(step_percent=25.0)
    for unit in UNITS[:500]:
        decision, assignment = decide(route, unit), assign(experiment, 25.0, unit)
        assert (decision is not None) == assignment.is_enrolled
        if decision:
            treatment = decision.treatment
            assert decision.unit == Unit("header", unit)
            assert treatment.answer == {"control": CONTROL, "candidate": CANDIDATE}[assignment.variant]
            assert (treatment.experiment, treatment.comparison, treatment.phase) == ("exp", 3, 7)
            assert (treatment.mirrors, treatment.fallback) == ((), None)
            assert (treatment.is_enrolled, treatment.is_forced) == (True, False)


def test_in_shadow_the_control_answers_and_every_candidate_is_mirrored() -> None:
    candidates = [{"name": "a", "model": "other"}, {"name": "b", "version": "next"}]
    route = make_route("shadow", candidates=candidates)
    for unit in UNITS[:50]:
        decision = decide(route, unit)
        assert decision
        assert decision.treatment.answer == CONTROL
        assert decision.treatment.mirrors == (Target("a", "other", None), Target("b", "digits", "next"))
        assert not decision.treatment.is_enrolled


def test_a_share_of_units_is_mirrored_always_the_same() -> None:
    route = make_route("shadow", stages={"shadow_share": 0.2})
    mirrored = [unit for unit in UNITS if decide(route, unit)]
    assert stats.binomtest(len(mirrored), len(UNITS), 0.2).pvalue > 0.001
    assert all(decide(route, unit, "another request") for unit in mirrored)
    assert not any(decide(make_route("shadow", stages={"shadow_share": 0.0}), unit) for unit in UNITS)
    # Mirroring says nothing of who will be enrolled, or as what.
    answers = Counter(assign(make_experiment(), 50.0, unit)[:2] for unit in mirrored)
    assert (
        stats.binomtest(answers["control", True] + answers["candidate", True], len(mirrored), 0.5).pvalue
        > 0.001
    )


@pytest.mark.parametrize("stage", ["shadow", "ramp"])
def test_allowed_units_are_answered_by_their_variant(stage: Stage) -> None:
    route = make_route(stage, 0.0, allow_list=TESTERS)
    for unit, target in (("anna", CANDIDATE), ("bert", CONTROL)):
        decision = decide(route, unit)
        assert decision
        assert decision.treatment.answer == target
        assert (decision.treatment.is_enrolled, decision.treatment.is_forced) == (False, True)
        assert decision.treatment.mirrors == ()


def test_the_control_is_mirrored_where_a_metric_needs_its_score() -> None:
    route = make_route(metrics=SCORED, allow_list=TESTERS)
    assert find_answered_by(route, "candidate").treatment.mirrors == (CONTROL,)
    assert find_answered_by(route, "control").treatment.mirrors == ()
    forced = decide(route, "anna")
    assert forced
    assert forced.treatment.mirrors == ()


def test_a_failing_candidate_is_replaced_only_where_the_definition_says_so() -> None:
    route = make_route(on_error="control")
    assert find_answered_by(route, "candidate").treatment.fallback == CONTROL
    assert find_answered_by(route, "control").treatment.fallback is None
    assert find_answered_by(make_route(), "candidate").treatment.fallback is None


def test_a_request_without_a_unit_is_its_own() -> None:
    decision = decide(make_route(), None, "request-1")
    assert decision
    assert decision.unit == Unit("request", "request-1")
    assert decide(make_route(unit_sources=["header", "parameter"]), None) is None


@pytest.mark.parametrize(
    "value", ["", "x" * 10**6, "\x00\x1b[2J", "\ud800", b"\xff\xfe", 7, None, [], {}, 1e400]
)
def test_a_hostile_unit_never_fails(value: Any) -> None:
    route = make_route(allow_list=TESTERS)
    for header, parameter in ((value if isinstance(value, str | bytes) else None, None), (None, value)):
        decision = route.decide(header, parameter, "r1")
        assert decision
        assert len(decision.unit.value) <= 512


def make_ranged(name: str, low: float, high: float) -> Experiment:
    exclusion = {"group": "g", "from_percent": low, "to_percent": high}
    return make_experiment(name=name, stages={"steps": [50]}, exclusion=exclusion, allow_list=TESTERS)


def test_of_several_experiments_on_a_model_at_most_one_decides() -> None:
    one, other = make_ranged("one", 0, 50), make_ranged("other", 50, 100)
    routes = make_routes([(other, make_phase("shadow")), (one, make_phase("ramp", 20))])
    decisions = [decide(routes["digits"], unit) for unit in UNITS]
    found = Counter(each.treatment.experiment if each else "" for each in decisions)
    for name, share in (("one", 0.2), ("other", 0.5), ("", 0.3)):
        assert stats.binomtest(found[name], len(UNITS), share).pvalue > 0.001
    forced = decide(routes["digits"], "anna")
    assert forced
    assert forced.treatment.experiment == "one"


def test_a_request_that_names_no_unit_is_decided_alike_the_short_way() -> None:
    fields: dict[str, Any] = {"unit_sources": ("header", "request"), "allow_list": {"r7": "candidate"}}
    ranges = ({"group": "g", "from_percent": start, "to_percent": start + 50} for start in (0, 50))
    experiments = [
        make_experiment(name="b", exclusion=next(ranges), **fields),
        make_experiment(name="a", exclusion=next(ranges), unit_sources=("header",)),
    ]
    route = Route([(experiment, make_phase("ramp", 20.0)) for experiment in experiments])
    for request in (f"r{number}" for number in range(200)):
        decision = route.decide(None, None, request)
        assert route.decide_by_request(request) == (decision and decision.treatment)
