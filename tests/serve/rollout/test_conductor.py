"""Looks at real stores: what units met and answered is written as a recorder does."""

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from serve.experiments import stages
from serve.experiments.definition import Experiment
from serve.experiments.findings import Expense
from serve.experiments.stages import Change, Phase
from serve.experiments.steering import LOOK_ANSWERS
from serve.experiments.store.database import Store, open_store
from serve.experiments.store.feedback import Feedback, accept
from serve.experiments.store.records import Inference
from serve.experiments.store.registry import Registry
from serve.experiments.store.summaries import Summaries
from serve.rollout.conductor import REST_SECONDS, SELF, Conductor
from tests.serve.experiments.definitions import make_experiment
from tests.serve.experiments.store.rows import put_exposure, put_inference, unit

BEGIN = 1_700_000_000_000_000
SECOND = 1_000_000
HOUR = 3600 * SECOND
ANNE = Change(BEGIN, "anne")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path)
    yield opened
    opened.close()


class Running:
    """An experiment that runs, and a conductor whose time and looks are the test's."""

    def __init__(self, store: Store, *acts: stages.Act, **fields: Any) -> None:
        self.store = store
        self.registry = Registry(store)
        self.registry.define(make_experiment(**fields), ANNE)
        self.now = BEGIN
        self.used = 0.0
        self.changes = 0
        for act in acts:
            self.act(act)
        self.conductor = self.conduct()

    def conduct(self, **options: Any) -> Conductor:
        """A conductor as each process has one."""
        summaries = Summaries(self.store)
        times: dict[str, Any] = {
            "seconds": 3600,
            "clock": lambda: self.now,
            "processor": lambda: self.used,
        }
        return Conductor(self.registry, summaries, self._on_change, **times | options)

    def act(self, act: stages.Act) -> None:
        change = ANNE._replace(at=self.now)
        self.registry.act("exp", act, change, partial(stages.take, act, change=change))

    def meet(self, number: int, variant: str, *, status: int = 0, value: float | None = None) -> None:
        """A unit meets the variant once, and may give feedback."""
        about = {"experiment": "exp", "variant": variant}
        put_exposure(self.store, number, self.now, **about)
        request = f"r{number}"
        put_inference(self.store, number, Inference(request, self.now, 1000, status), **about)
        if value is not None:
            at = self.now
            accept(self.store, [Feedback("m", value, unit=unit(number), at=at)], clock=lambda: at)

    def look(self, seconds: float = 7200) -> str:
        """The stage after a look so many seconds later."""
        self.now += int(seconds * SECOND)
        self.conductor.look()
        return self.registry.read("exp").phase.stage

    def results(self) -> dict[str, Any]:
        """What the newest look has shown."""
        ((_, content),) = self.registry.read_looks("exp", 1, most=1)
        results: dict[str, Any] = content["results"]
        return results

    def _on_change(self) -> None:
        self.changes += 1


GUARDED = {"guardrails": [{"kind": "error_rate"}]}


def test_a_candidate_that_fails_is_stopped_and_the_audit_trail_says_why(store: Store) -> None:
    running = Running(store, "start", "advance", **GUARDED)
    for number in range(120):
        running.meet(number, "candidate" if number % 2 else "control", status=5 if number % 4 == 1 else 0)
    assert running.look() == "stopped"
    newest = running.registry.read_audit("exp")[0]
    assert (newest.by, newest.action) == (SELF, "stop")
    assert "`error_rate` of `candidate`" in newest.detail
    assert running.results()["verdict"] == "harmful"
    assert running.changes == 1


def test_a_sound_candidate_goes_up_the_ramp(store: Store) -> None:
    running = Running(store, "start", "advance", **GUARDED)
    for number in range(220):
        running.meet(number, "candidate" if number % 2 else "control")
    steps = []
    for _ in range(6):
        assert running.look() == "ramp"
        steps.append(running.registry.read("exp").phase.step_percent)
    assert steps == [5, 10, 25, 50, 50, 50]


def test_a_step_is_held_until_enough_units_have_come(store: Store) -> None:
    running = Running(store, "start", "advance")
    for number in range(20):
        running.meet(number, "candidate" if number % 2 else "control")
    assert running.look() == "ramp"
    assert running.registry.read("exp").phase.step_percent == 1


@pytest.mark.slow
def test_a_better_candidate_is_promoted_where_so_defined(store: Store) -> None:
    metrics = [{"name": "m", "kind": "mean", "is_primary": True}]
    running = Running(store, "start", "advance", metrics=metrics, auto_promote=True)
    for number in range(600):
        is_candidate = number % 2
        running.meet(number, "candidate" if is_candidate else "control", value=is_candidate + number % 3)
    assert running.look() == "promoted"
    assert running.registry.read("exp").phase.promoted == "candidate"
    assert running.results()["verdict"] == "better"


def test_a_broken_split_pauses_and_is_not_called_a_win(store: Store) -> None:
    running = Running(store, "start", "advance")
    for number in range(400):
        running.meet(number, "control" if number % 4 else "candidate")
    assert running.look() == "paused"
    assert running.results()["verdict"] == "invalid"


def test_the_rate_before_the_first_unit_decides_how_a_binary_metric_is_compared(store: Store) -> None:
    metrics = [{"name": "m", "kind": "binary", "is_primary": True}]
    running = Running(store, "start", "advance", metrics=metrics)
    before = [Feedback("m", float(n < 3), unit=unit(1000 + n), at=BEGIN) for n in range(250)]
    accept(store, before, clock=lambda: BEGIN)
    running.now += SECOND
    for number in range(400):
        running.meet(number, "candidate" if number % 2 else "control", value=float(number % 3 == 0))
    running.look()
    (metric,) = running.results()["metrics"]
    assert metric["scale"] == "ratio"
    assert running.registry.read_memory("exp", 1).base_rates == {"m": pytest.approx(3.5 / 251)}


def test_of_two_conductors_one_takes_the_looks_until_it_ends(store: Store) -> None:
    running = Running(store, "start", "advance", **GUARDED)
    first, second = running.conductor, running.conduct()

    def look(conductor: Conductor, seconds: int) -> int:
        running.now += seconds * SECOND
        conductor.look()
        return len(running.registry.read_looks("exp", 1))

    assert [look(first, 1), look(second, 0), look(first, 60), look(second, 0)] == [1, 1, 2, 2]
    first.close()
    assert look(second, 1) == 3


def test_what_cannot_run_here_is_left_to_other_servers(store: Store) -> None:
    running = Running(store, "start", "advance")
    lacking = running.conduct(find_change=lambda experiment, phase: "`candidate` does not answer now")

    def look(conductor: Conductor, seconds: float) -> str:
        running.now += int(seconds * SECOND)
        conductor.look()
        return running.registry.read("exp").phase.stage

    for _ in range(20):
        assert look(lacking, 1) == look(running.conductor, 0) == "ramp"
    # Nor is it paused at once when the other server has ended.
    running.conductor.close()
    assert look(lacking, 1) == "ramp"
    assert look(lacking, REST_SECONDS) == "paused"
    lacking.close()


def test_new_answers_that_show_harm_stop_a_candidate_before_the_next_look_is_due(store: Store) -> None:
    running = Running(store, "start", "advance", **GUARDED)
    assert running.look(seconds=0) == "ramp"

    def fail(units: range) -> str:
        for number in units:
            running.meet(number, "candidate" if number % 2 else "control", status=5 * (number % 2))
        return running.look(seconds=1)

    assert fail(range(LOOK_ANSWERS - 1)) == "ramp"
    assert fail(range(LOOK_ANSWERS - 1, LOOK_ANSWERS)) == "stopped"
    assert len(running.registry.read_looks("exp", 1)) == 2


def test_harm_that_was_seen_and_tolerated_takes_no_further_looks(store: Store) -> None:
    running = Running(store, "start", "advance", guardrails=[{"kind": "error_rate", "action": "pause"}])
    for number in range(200):
        running.meet(number, "candidate" if number % 2 else "control", status=5 * (number % 2))
    assert running.look(seconds=1) == "paused"
    running.act("resume")
    for number in range(200, 400):
        running.meet(number, "candidate" if number % 2 else "control", status=5 * (number % 2))
    assert running.look(seconds=1) == "ramp"
    assert len(running.registry.read_looks("exp", 1)) == 1


def test_an_experiment_that_cannot_be_looked_at_holds_up_no_other(store: Store) -> None:
    running = Running(store, "start", "advance")
    running.registry.define(make_experiment(name="other", model="other"), ANNE)
    running.registry.act("other", "start", ANNE, partial(stages.take, "start", change=ANNE))

    def measure(experiment: Experiment, phase: Phase) -> dict[str, Expense]:
        if experiment.name == "exp":
            raise ZeroDivisionError
        return {}

    running.conductor.close()
    running.conduct(measure=measure).look()
    assert running.registry.read_looks("exp", 1) == []
    assert len(running.registry.read_looks("other", 1)) == 1


def test_a_look_that_takes_long_does_not_hold_up_the_end(store: Store) -> None:
    running = Running(store, "start")
    began, ended = threading.Event(), threading.Event()

    def measure(experiment: Experiment, phase: Phase) -> dict[str, Expense]:
        began.set()
        ended.wait(60)
        return {}

    conductor = running.conduct(measure=measure, seconds=0.01)
    assert began.wait(60)
    conductor.close(0.01)
    assert not ended.is_set()
    ended.set()
    conductor.close(60)


def test_what_does_not_run_is_not_looked_at(store: Store) -> None:
    running = Running(store)
    assert running.look() == "draft"
    running.act("start")
    running.act("pause")
    assert running.look() == "paused"
    assert running.registry.read_looks("exp", 1) == []


def test_an_experiment_that_was_changed_meanwhile_is_left_alone(store: Store) -> None:
    running = Running(store, "start", "advance", **GUARDED)
    for number in range(120):
        running.meet(number, "candidate" if number % 2 else "control", status=5 if number % 4 == 1 else 0)
    read_phases = running.registry.read_phases

    def change(name: str) -> Any:
        phases = read_phases(name)
        running.act("pause")
        return phases

    running.registry.read_phases = change  # type: ignore[method-assign]  # somebody acts during the look
    assert running.look() == "paused"


def count_looks(running: Running) -> int:
    return len(running.registry.read_looks("exp", 1))


def test_looks_are_rarer_where_nothing_is_new(store: Store) -> None:
    running = Running(store, "start", "advance", **GUARDED)
    counts = []
    for seconds in (1, 10, 10, 40, 10):
        running.look(seconds)
        counts.append(count_looks(running))
    assert counts == [1, 1, 1, 2, 2]
    running.meet(1, "control")
    running.look(seconds=10)
    assert count_looks(running) == 3


def conduct_at_a_cost(running: Running) -> None:
    """After each look the next one is due after 100 seconds."""

    def measure(experiment: Experiment, phase: Phase) -> dict[str, Expense]:
        running.used += 0.3
        return {}

    running.conductor.close()
    running.conductor = running.conduct(measure=measure)


def fail(running: Running, units: range) -> None:
    for number in units:
        running.meet(number, "candidate" if number % 2 else "control", status=5 * (number % 2))


def test_costly_looks_are_rarer_but_guardrails_are_looked_at_all_the_same(store: Store) -> None:
    running = Running(store, "start", "advance", **GUARDED)
    conduct_at_a_cost(running)
    running.look(seconds=1)
    running.meet(0, "control")
    running.look(seconds=60)
    assert count_looks(running) == 1
    fail(running, range(1, 1 + LOOK_ANSWERS))
    assert running.look(seconds=1) == "stopped"
    assert count_looks(running) == 2


def test_guardrails_wait_no_longer_for_answers_that_are_few(store: Store) -> None:
    running = Running(store, "start", "advance", **GUARDED)
    conduct_at_a_cost(running)
    running.look(seconds=1)
    fail(running, range(LOOK_ANSWERS - 1))
    assert running.look(seconds=1) == "ramp"
    assert running.look(seconds=9) == "stopped"
