"""What becomes of exposures while the store fails, or is slow."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from serve.experiments.errors import StoreError
from serve.experiments.store import exposures as module
from serve.experiments.store.database import Store, open_store
from serve.experiments.store.exposures import ExposureWriter, WriterCounts
from serve.experiments.store.records import pack_exposure, read_exposures
from serve.experiments.store.tables import exposures
from tests.serve.experiments.store.rows import arm, count_rows, unit
from tests.waiting import SECONDS


@pytest.fixture
def writer(store: Store) -> Iterator[ExposureWriter]:
    opened = ExposureWriter(store, interval=0.01)
    yield opened
    opened.close()


@contextmanager
def blocked(monkeypatch: pytest.MonkeyPatch, error: StoreError) -> Iterator[threading.Event]:
    """The store fails with the error; the event is set once it has."""
    failed = threading.Event()

    def fail(*_: object) -> None:
        failed.set()
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_rows", fail)
        yield failed


def test_what_is_too_much_for_the_queue_is_dropped_and_counted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with blocked(monkeypatch, StoreError("full")) as failed:
        writer = ExposureWriter(store, interval=0.01, queue_bytes=280)
        a = writer.handle(arm())
        writer.note(a, unit(0), 1)
        assert failed.wait(SECONDS)
        for number in range(1, 31):
            writer.note(a, unit(number), 1)
        assert writer.counts() == WriterCounts(written=0, lost=20, waiting=11)
    assert writer.flush()
    assert writer.counts() == WriterCounts(written=11, lost=20, waiting=0)
    assert count_rows(store, exposures) == 11
    writer.close()


def test_a_store_that_fails_to_the_end_costs_a_bounded_time_and_is_counted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with blocked(monkeypatch, StoreError("gone")) as failed:
        writer = ExposureWriter(store, interval=0.01)
        writer.note(writer.handle(arm()), unit(0), 1)
        assert failed.wait(SECONDS)
        assert not writer.flush(timeout=0.01)
        writer.close(timeout=0.1)
    assert writer.counts() == WriterCounts(written=0, lost=1, waiting=0)


def test_rows_that_the_store_refuses_for_good_hold_up_no_others(store: Store, writer: ExposureWriter) -> None:
    writer.note(writer.handle(arm(experiment=None)), unit(1), 1)
    assert writer.flush()
    writer.note(writer.handle(arm()), unit(1), 1)
    assert writer.flush()
    assert writer.counts() == WriterCounts(written=1, lost=1, waiting=0)


def test_a_full_disk_costs_nothing_that_fits_the_queue(tmp_path: Path) -> None:
    store = open_store(tmp_path)

    def limit(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")  # as many pages as there are

    store.close()
    sa.event.listen(store._engine, "connect", limit)
    writer = ExposureWriter(store, interval=0.01)
    for number in range(5000):
        writer.note(writer.handle(arm()), unit(number), 1)
    assert not writer.flush(timeout=0.3)
    sa.event.remove(store._engine, "connect", limit)
    store.close()
    assert writer.flush()
    assert writer.counts() == WriterCounts(written=5000, lost=0, waiting=0)
    assert count_rows(store, exposures) == 5000
    writer.close()
    store.close()


def test_a_database_that_ends_the_sessions_is_used_again(store: Store, writer: ExposureWriter) -> None:
    if store.is_sqlite:
        return
    writer.note(writer.handle(arm()), unit(1), 1)
    assert writer.flush()
    pid = sa.column("pid", sa.Integer)
    others = pid != sa.func.pg_backend_pid()
    with store.read() as connection:
        ended = sa.select(sa.func.pg_terminate_backend(pid)).select_from(sa.table("pg_stat_activity"))
        connection.execute(ended.where(others, sa.column("datname") == sa.func.current_database())).all()
    writer.note(writer.handle(arm()), unit(2), 1)
    assert writer.flush()
    assert writer.counts() == WriterCounts(written=2, lost=0, waiting=0)
    assert count_rows(store, exposures) == 2


def test_noting_does_not_wait_for_a_locked_store(store: Store, writer: ExposureWriter) -> None:
    a = writer.handle(arm())
    with store.write() as connection:
        connection.execute(exposures.insert(), _row(unit(0)))  # holds the file, or the row
        for number in range(1000):
            writer.note(a, unit(number), 1)
        assert writer.counts().written == 0
    assert writer.flush()
    assert count_rows(store, exposures) == 1000


def _row(name: bytes) -> dict[str, Any]:
    (((row,), _),) = read_exposures(memoryview(pack_exposure(1, 0, name)), [arm()], set())
    return {**row, "written_at": 1}
