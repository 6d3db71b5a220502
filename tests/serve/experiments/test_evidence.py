"""What is read from a real store for a verdict: which answers count as whose."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from serve.experiments import stages
from serve.experiments.definition import Experiment
from serve.experiments.evidence import find_harms, read_evidence
from serve.experiments.findings import Behaviour, Memory
from serve.experiments.stages import Change, Phase
from serve.experiments.statistics.samples import Counts, Moments
from serve.experiments.store.database import Store, open_store
from serve.experiments.store.feedback import Feedback, accept
from serve.experiments.store.records import Inference
from serve.experiments.store.registry import Registry
from serve.experiments.store.summaries import Summaries
from tests.serve.experiments.definitions import make_experiment
from tests.serve.experiments.store.rows import put_exposure, put_inference

BEGIN = 1_700_000_000_000_000
METRICS = [{"name": "m", "kind": "mean", "is_primary": True}]
GUARDRAILS = [{"kind": kind} for kind in ("error_rate", "latency", "prediction_shift")]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path)
    yield opened
    opened.close()


class Answering:
    """An experiment in shadow, and answers of its variants."""

    def __init__(self, store: Store) -> None:
        self.store, self.registry, self.now = store, Registry(store), BEGIN
        self.registry.define(make_experiment(metrics=METRICS, guardrails=GUARDRAILS), Change(BEGIN, "anne"))
        self.act("start")

    def act(self, act: stages.Act) -> None:
        change = Change(self.now, "anne")
        self.registry.act("exp", act, change, partial(stages.take, act, change=change))

    def answer(self, number: int, variant: str, *, is_shadow: bool = False, **about: Any) -> str:
        """The id of the request of the unit, which has answered it in the present phase."""
        self.now += 1
        phase = self.present[1].number
        given = {"latency_us": 1000, "top1": number % 2, **about}
        inference = Inference(f"r{self.now}", self.now, is_shadow=is_shadow, **given)
        put_inference(self.store, number, inference, experiment="exp", variant=variant, phase=phase)
        return inference.request_id

    @property
    def present(self) -> tuple[Experiment, Phase]:
        known = self.registry.read("exp")
        return known.experiment, known.phase

    def observe(self) -> dict[str, Any]:
        known = read_evidence(Summaries(self.store), *self.present, Memory(), self.now)
        return dict(known.evidence.observations)

    def behaviour(self, variant: str) -> Behaviour:
        found: Behaviour = self.observe()[variant].behaviour
        return found

    def harms(self) -> list[str]:
        found = find_harms(Summaries(self.store), *self.present, self.now)
        return [harm.guardrail.kind for harm in found]


def test_errors_of_the_control_in_shadow_do_not_hide_those_of_a_candidate_on_the_ramp(store: Store) -> None:
    answering = Answering(store)
    for number in range(400):
        answering.answer(number, "control", status=5 * (number % 4 == 0))
    assert answering.behaviour("control").errors == Counts(400.0, 100.0)
    answering.act("advance")
    for number in range(400, 500):
        answering.answer(number, "candidate" if number % 2 else "control", status=5 * (number % 2))
    assert answering.behaviour("control").errors == Counts(50.0, 0.0)
    assert answering.harms() == ["error_rate"]


def test_what_was_mirrored_is_shown_after_a_stop_in_shadow(store: Store) -> None:
    answering = Answering(store)
    for number in range(3):
        answering.answer(number, "control")
        answering.answer(number, "candidate", is_shadow=True)
    for act in ("pause", "stop"):
        answering.act(act)
        assert [answering.behaviour(name).errors.units for name in ("control", "candidate")] == [3, 3]


def test_an_outcome_of_a_request_in_shadow_is_no_candidates(store: Store) -> None:
    answering = Answering(store)
    requests = [answering.answer(1, "control")]
    answering.act("advance")
    put_exposure(store, 1, answering.now, experiment="exp", variant="candidate")
    requests.append(answering.answer(1, "candidate"))
    at = answering.now
    given = [Feedback("m", value, request) for value, request in zip((1.0, 5.0), requests, strict=True)]
    accept(store, given, clock=lambda: at)
    assert answering.observe()["candidate"].outcomes["m"] == Moments.of([5.0])


def test_a_client_that_repeats_one_large_request_does_no_harm(store: Store) -> None:
    answering = Answering(store)
    answering.act("advance")
    for number in range(40):
        answering.answer(number, "candidate" if number % 2 else "control")
    for _ in range(200):
        answering.answer(1, "candidate", latency_us=900_000, top1=7)
    assert answering.harms() == []
    latency, classes = answering.behaviour("candidate").latency, answering.behaviour("candidate").classes
    assert (float(latency.units), classes) == (20.0, {1: 20})


def test_answers_without_classes_are_answers_in_shadow(store: Store) -> None:
    answering = Answering(store)
    for number in range(7):
        answering.answer(number, "control", top1=None)
        answering.answer(number, "candidate", is_shadow=True, top1=None)
    known = read_evidence(Summaries(store), *answering.present, Memory(), answering.now)
    assert known.met == {"candidate": 7}
