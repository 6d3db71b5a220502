from dataclasses import replace
from typing import Any

from prometheus_client import CollectorRegistry

from serve.experiments.request_ids import RequestIds
from serve.experiments.routing import make_routes
from serve.experiments.shadow import MirrorCounts
from serve.experiments.stages import Phase
from serve.rollout.measuring import ExperimentMetrics
from serve.rollout.participants import LONGEST, MOST_UNITS, Participants
from tests.serve.experiments.definitions import make_experiment

PHASE = Phase(2, 1, "ramp", 50.0, 0, "anne", "")


def make_participants(percent: float = 50, **fields: Any) -> Participants:
    phase = replace(PHASE, step_percent=percent)
    (route,) = make_routes([(make_experiment(**fields), phase)]).values()
    return Participants(
        route, ExperimentMetrics(CollectorRegistry(), MirrorCounts, lambda: 0), RequestIds(bytes(32))
    )


def test_a_unit_is_decided_once_and_as_the_route_decides() -> None:
    participants = make_participants()
    (route,) = make_routes([(make_experiment(), PHASE)]).values()
    for name in (f"unit-{number}" for number in range(50)):
        found = participants.find(name, None, "r1")
        decision = route.decide(name, None, "r1")
        assert (None if found is None else (found.unit, found.group.treatment)) == decision
        assert participants.find(name, None, "r2") is found


def test_requests_without_a_unit_are_decided_each_by_itself() -> None:
    participants = make_participants()
    found = {participants.find(None, None, f"r{number}") for number in range(50)}
    assert len(found) > 5
    # A header that is no unit does not make them one.
    empty = [participants.find("", None, f"r{number}") for number in range(50)]
    assert {each is None for each in empty} == {True, False}


def test_parameters_that_are_equal_but_not_the_same_are_not_taken_for_each_other() -> None:
    participants = make_participants(100, unit_sources=("parameter",))
    one = participants.find(None, 1, "r1")
    assert one is not None
    assert one.unit.value == "1"
    assert participants.find(None, True, "r1") is None
    assert participants.find(None, [1], "r1") is None
    assert participants.find(None, "1", "r1") is participants.find(None, "1", "r2")


def test_what_is_remembered_is_bounded() -> None:
    participants = make_participants(100)
    for number in range(MOST_UNITS + 10):
        participants.find(f"unit-{number}", None, "r1")
    assert len(participants.known) <= MOST_UNITS
    known = len(participants.known)
    participants.find("u" * (LONGEST + 1), None, "r1")
    assert len(participants.known) == known
