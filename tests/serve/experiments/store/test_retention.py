import threading
from typing import Any

import pytest

from serve.experiments.store import retention
from serve.experiments.store.database import Store
from serve.experiments.store.feedback import Feedback, accept
from serve.experiments.store.records import Inference
from serve.experiments.store.retention import DAY, Deleted, delete_old
from serve.experiments.store.tables import exposures, inferences, outcomes, phases, samples
from tests.serve.experiments.store.rows import count_rows, put_exposure, put_inference, read_rows, unit

NOW = 1_800_000_000_000_000
OLD, NEW = NOW - 31 * DAY, NOW - 29 * DAY


def put_all(store: Store, at: int, name: str, experiment: str = "e", comparison: int = 1) -> None:
    put_exposure(store, at, at, experiment=experiment, comparison=comparison)
    put_inference(store, 1, Inference(name, at, 1), experiment=experiment, comparison=comparison)
    accept(store, [Feedback("m", 1.0, request_id=name)], clock=lambda: at)
    row = {"request_id": name, "experiment": experiment, "variant": "a", "at": at}
    with store.write() as connection:
        connection.execute(samples.insert(), {**row, "inputs": b"i", "outputs": b"o"})


def put_phase(store: Store, number: int, stage: str, **changes: Any) -> None:
    usual = {"experiment": "e", "comparison": 1, "step_percent": 1.0, "started_at": OLD}
    row = {**usual, "number": number, "stage": stage, "by": "b", "reason": "r", "promoted": None, **changes}
    with store.write() as connection:
        connection.execute(phases.insert(), row)


def delete(store: Store, days: float = 30, **sample_days: float) -> Deleted:
    return delete_old(store, NOW, days, sample_days, sleep=lambda _: None)


def test_what_is_older_than_the_days_is_deleted_and_the_rest_stays(store: Store) -> None:
    put_all(store, OLD, "old")
    put_all(store, NEW, "new")
    put_all(store, OLD, "other", experiment="f", comparison=7)
    assert delete(store) == Deleted(2, 2, 2, 2)
    assert read_rows(store, inferences, "request_id") == [("new",)]
    assert read_rows(store, outcomes, "request_id") == [("new",)]
    assert read_rows(store, exposures, "first_at") == [(NEW,)]
    assert delete(store) == Deleted()


@pytest.mark.parametrize("stage", ["shadow", "ramp", "paused", "stopped", "promoted"])
def test_what_a_running_experiment_was_told_is_kept(store: Store, stage: str) -> None:
    put_phase(store, 1, "draft")
    put_phase(store, 2, stage)
    put_all(store, OLD, "old")
    has_ended = stage in ("stopped", "promoted")
    assert delete(store) == (Deleted(1, 1, 1, 1) if has_ended else Deleted(samples=1))


def test_earlier_comparisons_of_a_running_experiment_are_deleted(store: Store) -> None:
    put_phase(store, 1, "ramp", comparison=1)
    put_phase(store, 2, "ramp", comparison=2, started_at=NEW)
    put_all(store, OLD, "old", comparison=1)
    put_all(store, NEW, "new", comparison=2)
    assert delete(store) == Deleted(1, 1, 1, 1)


def test_logged_inputs_and_outputs_have_days_of_their_own(store: Store) -> None:
    for name in ("e", "f"):
        put_all(store, NEW, name, experiment=name)
        put_phase(store, 1, "ramp", experiment=name)
    assert delete(store, e=7) == Deleted(samples=1)
    assert read_rows(store, samples, "request_id") == [("f",)]


def test_batches_are_bounded_and_others_write_between_them(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 3)
    accept(store, [Feedback("m", 1.0, request_id=f"{n}") for n in range(10)], clock=lambda: OLD)
    counts: list[int] = []

    def write(_: float) -> None:
        counts.append(count_rows(store, outcomes))
        accept(store, [Feedback("m", 1.0, unit=unit(len(counts)))], clock=lambda: NOW)

    assert delete_old(store, NOW, 30, {}, sleep=write) == Deleted(outcomes=10)
    assert counts == [7, 5, 3, 3]


def test_deleting_ends_when_it_should_stop(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 3)
    accept(store, [Feedback("m", 1.0, request_id=f"{n}") for n in range(10)], clock=lambda: OLD)
    stop = threading.Event()
    delete_old(store, NOW, 30, {}, is_stopping=stop.is_set, sleep=lambda _: stop.set())
    assert count_rows(store, outcomes) == 7
