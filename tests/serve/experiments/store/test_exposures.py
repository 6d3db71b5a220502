import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from serve.experiments.store.database import Store, open_store
from serve.experiments.store.exposures import ExposureWriter, WriterCounts
from serve.experiments.store.records import Inference
from serve.experiments.store.tables import exposures, inferences
from tests.serve.experiments.store.rows import arm, count_rows, read_rows, unit

SEEN = ("unit", "variant", "first_at", "switches")


@pytest.fixture
def writer(store: Store) -> Iterator[ExposureWriter]:
    opened = ExposureWriter(store, interval=0.01)
    yield opened
    opened.close()


def test_a_unit_has_one_row_with_its_first_exposure(store: Store, writer: ExposureWriter) -> None:
    a = writer.handle(arm())
    for at in (10, 20, 30):
        writer.note(a, unit(1), at)
    assert writer.flush()
    writer.note(a, unit(1), 40)
    writer.note(a, unit(2), 7)
    assert writer.flush()
    assert read_rows(store, exposures, *SEEN) == [(unit(1), "a", 10, 0), (unit(2), "a", 7, 0)]
    assert writer.counts() == WriterCounts(written=5, lost=0, waiting=0)


def test_of_two_workers_the_earlier_exposure_is_the_first(store: Store, writer: ExposureWriter) -> None:
    other = ExposureWriter(store, interval=0.01)
    for each, at in ((writer, 10), (other, 5), (writer, 7)):
        each.note(each.handle(arm()), unit(1), at)
        assert each.flush()
    other.close()
    assert read_rows(store, exposures, *SEEN) == [(unit(1), "a", 5, 0)]


def test_a_unit_keeps_its_first_variant_and_its_switches_are_seen(
    store: Store, writer: ExposureWriter
) -> None:
    a, b = writer.handle(arm()), writer.handle(arm(variant="b"))
    for handle in (a, b, b):
        writer.note(handle, unit(1), 1)
    writer.note(a, unit(2), 1)
    assert writer.flush()
    assert read_rows(store, exposures, *SEEN) == [(unit(1), "a", 1, 1), (unit(2), "a", 1, 0)]
    writer.note(b, unit(2), 2)
    assert writer.flush()
    assert read_rows(store, exposures, *SEEN) == [(unit(1), "a", 1, 1), (unit(2), "a", 1, 1)]


def test_units_are_remembered_in_bounded_memory(
    store: Store, writer: ExposureWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.experiments.store.records.MAX_KNOWN", 10)
    for turn in range(5):
        for number in range(7):
            writer.note(writer.handle(arm()), unit(number + turn), 1)
        assert writer.flush()
        assert len(writer._known) <= 17
    assert count_rows(store, exposures) == 11


def test_comparisons_and_experiments_are_kept_apart(store: Store, writer: ExposureWriter) -> None:
    for changes in ({}, {"comparison": 2}, {"experiment": "f"}):
        writer.note(writer.handle(arm(**changes)), unit(1), 1)
    assert writer.flush()
    assert count_rows(store, exposures) == 3


def test_phases_of_a_comparison_share_a_units_row(store: Store, writer: ExposureWriter) -> None:
    for phase in (1, 2):
        writer.note(writer.handle(arm(phase=phase)), unit(1), phase)
    assert writer.flush()
    assert read_rows(store, exposures, "first_at") == [(1,)]


def test_equal_arms_have_one_handle(writer: ExposureWriter) -> None:
    assert writer.handle(arm()) == writer.handle(arm()) != writer.handle(arm(phase=2))


def test_an_inference_is_stored_whole(store: Store, writer: ExposureWriter) -> None:
    a = writer.handle(arm())
    full = Inference("é-1", 5, 1 << 40, 3, has_nan=True, is_shadow=True, top1=-7, confidence=0.25)
    writer.note_inference(a, unit(1), full)
    writer.note_inference(a, unit(1), Inference("é-2", 6, 0))
    assert writer.flush()
    names = ("request_id", "at", "latency_us", "status", "has_nan", "is_shadow", "top1", "confidence")
    assert read_rows(store, inferences, *names) == [
        ("é-1", 5, 1 << 40, 3, 1, 1, -7, 0.25),
        ("é-2", 6, 0, 0, 0, 0, None, None),
    ]
    shared = ("experiment", "comparison", "phase", "variant", "unit", "model", "version", "digest")
    assert read_rows(store, inferences, *shared)[0] == ("e", 1, 1, "a", unit(1), "m", "1", b"d" * 32)


def test_the_first_of_two_inferences_with_one_id_stays(store: Store, writer: ExposureWriter) -> None:
    a, b = writer.handle(arm()), writer.handle(arm(variant="b"))
    for handle, latency in ((a, 1), (a, 2), (b, 3)):
        writer.note_inference(handle, unit(1), Inference("r", 5, latency))
        assert writer.flush()
    assert read_rows(store, inferences, "variant", "latency_us") == [("a", 1), ("b", 3)]


@pytest.mark.parametrize(
    "changes",
    [
        {"request_id": "x" * 201},
        {"request_id": "a\0b"},
        {"request_id": "\ud800"},
        {"latency_us": -1},
        {"status": 1 << 16},
        {"top1": 1 << 63},
        {"at": 1 << 63},
    ],
)
def test_an_inference_that_cannot_be_stored_is_counted_and_raises_nothing(
    store: Store, writer: ExposureWriter, changes: dict[str, Any]
) -> None:
    usual = Inference("r", 1, 1)
    writer.note_inference(writer.handle(arm()), unit(1), usual._replace(**changes))
    writer.note_inference(writer.handle(arm()), unit(1), usual)
    assert writer.flush()
    assert writer.counts() == WriterCounts(written=1, lost=1, waiting=0)


def test_a_confidence_that_is_not_a_number_is_left_out(store: Store, writer: ExposureWriter) -> None:
    writer.note_inference(writer.handle(arm()), unit(1), Inference("r", 1, 1, confidence=float("nan")))
    assert writer.flush()
    assert read_rows(store, inferences, "confidence") == [(None,)]


def test_closing_writes_what_waits(store: Store) -> None:
    writer = ExposureWriter(store, interval=60)
    writer.note(writer.handle(arm()), unit(1), 1)
    writer.close()
    writer.close()
    assert count_rows(store, exposures) == 1


def test_threads_that_note_at_once_lose_nothing(store: Store, writer: ExposureWriter) -> None:
    def note(start: int) -> None:
        for number in range(start, start + 500):
            writer.note(writer.handle(arm(phase=number % 7)), unit(number), 1)

    threads = [threading.Thread(target=note, args=(start,)) for start in range(0, 4000, 500)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert writer.flush()
    assert count_rows(store, exposures) == 4000


def _work(where: str, number: int, note: Callable[[ExposureWriter, int], None]) -> None:
    store = open_store(where)
    writer = ExposureWriter(store, interval=0.001)
    for turn in range(200):
        note(writer, number * 1000 + turn)
        if turn % 20 == 0:
            time.sleep(0.001)
    assert writer.flush()
    assert writer.counts().lost == 0
    writer.close()
    store.close()


def _note_both(writer: ExposureWriter, number: int) -> None:
    handle = writer.handle(arm())
    writer.note(handle, unit(number % 100), number)  # units that all workers see
    writer.note_inference(handle, unit(number % 100), Inference(f"{number}", number, 1))


@pytest.mark.slow
def test_workers_that_write_at_once_lose_no_row(store: Store, where: str) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_work, args=(where, number, _note_both)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert count_rows(store, inferences) == 800
    assert count_rows(store, exposures) == 100
