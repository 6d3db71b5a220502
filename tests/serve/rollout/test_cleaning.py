"""Old data are deleted by one process of all, and of running experiments only what they logged."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from serve.experiments import stages
from serve.experiments.stages import Change
from serve.experiments.store import retention
from serve.experiments.store.database import Store, open_store
from serve.experiments.store.feedback import Feedback, accept
from serve.experiments.store.registry import Registry
from serve.experiments.store.retention import DAY, Deleted
from serve.experiments.store.tables import exposures, outcomes, samples
from serve.rollout.cleaning import Cleaner
from tests.serve.experiments.definitions import make_experiment
from tests.serve.experiments.store.rows import count_rows, put_exposure, unit
from tests.waiting import until

NOW = 1_700_000_000_000_000
OLD = NOW - 40 * DAY


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path)
    yield opened
    opened.close()


def run(store: Store, at: int, *acts: stages.Act) -> Registry:
    """A registry with an experiment that logs, after these acts."""
    registry, change = Registry(store), Change(at, "anne")
    registry.define(make_experiment(log={"share": 1.0, "retention_days": 5}), change)
    for act in acts:
        registry.act("exp", act, change, partial(stages.take, act, change=change))
    return registry


def fill(store: Store, at: int) -> None:
    put_exposure(store, 1, at, experiment="exp")
    accept(store, [Feedback("m", float(n), unit=unit(n), at=at) for n in range(10)], clock=lambda: at)
    row = {"experiment": "exp", "request_id": "r", "variant": "control", "at": at}
    with store.write() as connection:
        connection.execute(samples.insert(), {**row, "inputs": b"i", "outputs": b"o"})


def make_cleaner(store: Store, registry: Registry, first_seconds: float = 3600) -> Cleaner:
    return Cleaner(store, registry, 30, first_seconds=first_seconds, clock=lambda: NOW)


def test_one_of_two_processes_deletes_what_an_ended_experiment_left(store: Store) -> None:
    registry = run(store, OLD, "start", "stop")
    fill(store, OLD)
    first, second = make_cleaner(store, registry), make_cleaner(store, registry)
    first._lease.hold()
    assert second.clean() == Deleted()
    assert first.clean() == Deleted(exposures=1, outcomes=10, samples=1)
    first.close()
    second.close()


def test_a_running_experiment_keeps_what_its_verdict_rests_on(store: Store) -> None:
    registry = run(store, OLD, "start", "advance")
    fill(store, OLD)
    cleaner = make_cleaner(store, registry)
    assert cleaner.clean() == Deleted(samples=1)
    cleaner.close()


def test_a_server_cleans_by_itself(store: Store) -> None:
    registry = run(store, OLD, "start", "stop")
    fill(store, OLD)
    cleaner = make_cleaner(store, registry, first_seconds=0)
    until(lambda: count_rows(store, outcomes) + count_rows(store, exposures) == 0)
    cleaner.close()


def test_closing_ends_between_two_pieces(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    monkeypatch.setattr(retention, "PAUSE_SECONDS", 3600)
    registry = run(store, OLD, "start", "stop")
    fill(store, OLD)
    cleaner = make_cleaner(store, registry, first_seconds=0)
    until(lambda: count_rows(store, exposures) == 0)
    cleaner.close()
    assert count_rows(store, outcomes) == 10
