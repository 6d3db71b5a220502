"""Exposures, inferences and samples on their way into the store: noted at once, written in batches.

A worker has one `ExposureWriter`. Noting neither waits nor raises: a record that finds no room, or that the
store refuses for good, is counted as lost. While the store fails, the batch that could not be written is kept
and tried again, so that a disk that was full for a while costs only what did not fit the queue meanwhile.
"""

import functools
import logging
import operator
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.sql.compiler import SQLCompiler

from serve.experiments.errors import StoreError
from serve.experiments.store.database import Insert, Store, now
from serve.experiments.store.faults import is_permanent
from serve.experiments.store.packed_queue import PackedQueue
from serve.experiments.store.records import (
    Arm,
    Inference,
    Row,
    pack_exposure,
    pack_inference,
    pack_sample,
    read_exposures,
    read_inferences,
    read_samples,
)
from serve.experiments.store.tables import exposures, inferences, samples

log = logging.getLogger("adaptact")

MAX_PAUSE_SECONDS = 5.0  # between attempts while the store fails

Batch = tuple[sa.Table, list[Row], int]


@dataclass(frozen=True, slots=True)
class WriterCounts:
    """Records since the writer's beginning."""

    written: int
    lost: int
    waiting: int


class ExposureWriter:
    """Writes what is noted, from one thread, every `interval` seconds, which kill -9 may lose.

    A longer interval costs less for each record, since more of them share a page of the database.
    Exposures, inferences and samples have a queue of `queue_bytes` each, which is memory only once filled.
    """

    def __init__(
        self,
        store: Store,
        *,
        interval: float = 0.5,
        queue_bytes: int = 8 << 20,
        clock: Callable[[], int] = now,
    ) -> None:
        self._store, self._interval, self._clock = store, interval, clock
        self._arms: list[Arm] = []
        self._handles: dict[Arm, int] = {}
        self._lock = threading.Lock()
        self._exposures, self._inferences, self._samples = (PackedQueue(queue_bytes) for _ in range(3))
        self._known: set[bytes] = set()
        self._queues = (
            (exposures, self._exposures, functools.partial(read_exposures, known=self._known)),
            (inferences, self._inferences, read_inferences),
            (samples, self._samples, read_samples),
        )
        self._batches: Iterator[Batch] = iter(())
        self._batch: Batch | None = None
        self._taken = self._written = self._lost = self._unusable = self._failures = 0
        self._passes = threading.Condition()
        self._wanted = self._done = 0
        self._deadline: float | None = None
        self._thread = threading.Thread(target=self._run, name="exposures", daemon=True)
        self._thread.start()

    def handle(self, arm: Arm) -> int:
        """The number by which records of the arm are noted; the same for an equal arm."""
        with self._lock:
            if arm not in self._handles:
                self._arms.append(arm)
                self._handles[arm] = len(self._arms) - 1
            return self._handles[arm]

    def note(self, handle: int, unit: bytes, at: int) -> None:
        """The unit (16 bytes) met the arm's variant at a time in microseconds."""
        self._exposures.put(pack_exposure(at, handle, unit))

    def note_inference(self, handle: int, unit: bytes, inference: Inference) -> None:
        """The arm's variant answered, or failed. An inference that cannot be stored is counted as lost."""
        try:
            self._inferences.put(pack_inference(handle, unit, inference))
        except (ValueError, struct.error):
            self._unusable += 1

    def note_sample(self, handle: int, request_id: str, at: int, inputs: bytes, outputs: bytes) -> None:
        """What a request of the arm held and was answered; one that cannot be stored is counted as lost."""
        try:
            self._samples.put(pack_sample(handle, request_id, at, inputs, outputs))
        except (ValueError, struct.error):
            self._unusable += 1

    def counts(self) -> WriterCounts:
        """What became of the records so far."""
        lost = self._lost + self._unusable + sum(queue.lost for _, queue, _ in self._queues)
        waiting = self._taken + sum(queue.waiting for _, queue, _ in self._queues)
        return WriterCounts(self._written, lost, waiting)

    def flush(self, timeout: float = 30.0) -> bool:
        """Whether all that was noted before is written, or refused for good, within `timeout` seconds."""
        with self._passes:
            self._wanted += 1
            wanted = self._wanted
            self._passes.notify_all()
            return self._passes.wait_for(lambda: self._done >= wanted, timeout)

    def close(self, timeout: float = 10.0) -> None:
        """What is noted is written if the store allows it within `timeout` seconds, else counted as lost."""
        with self._passes:
            self._deadline = time.monotonic() + timeout
            self._passes.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while True:
            wanted, deadline = self._wait()
            if self._write_taken() and self._take() and self._write_taken():
                with self._passes:
                    self._done = wanted
                    self._passes.notify_all()
            if deadline is not None and (not self._taken or time.monotonic() > deadline):
                self._lose_rest()
                return

    def _wait(self) -> tuple[int, float | None]:
        """After the interval, or as soon as someone flushes or closes: which flush, and the deadline."""
        pause = min(self._interval * 2 ** min(self._failures, 10), MAX_PAUSE_SECONDS)
        with self._passes:
            if self._failures:  # the store needs a moment, whoever waits
                self._passes.wait(min(pause, 0.2) if self._deadline else pause)
            else:
                self._passes.wait_for(lambda: self._wanted > self._done or self._deadline, pause)
            return self._wanted, self._deadline

    def _take(self) -> bool:
        """What was noted is now `_taken`; while the store fails it stays in the queues, which are bounded."""
        taken = [(table, read, *queue.take()) for table, queue, read in self._queues]
        self._taken = sum(count for *_, count in taken)
        self._batches = (
            (table, *batch) for table, read, records, _ in taken for batch in read(records, self._arms)
        )
        return True

    def _write_taken(self) -> bool:
        """Whether all that was taken is written or refused for good; else the batch that failed is kept."""
        while batch := self._batch or next(self._batches, None):
            self._batch = batch
            table, rows, count = batch
            try:
                if rows:
                    write_rows(self._store, table, rows, self._clock)
            except StoreError as error:
                self._note_failure(error, count)
                if not is_permanent(error):
                    return False
            else:
                self._written += count
                if rows and self._failures:
                    log.warning("the experiments' store is written again")
                self._failures = 0
            self._taken -= count
            self._batch = None
        return True

    def _note_failure(self, error: StoreError, count: int) -> None:
        if is_permanent(error):
            self._lost += count
            self._known.clear()  # its units are not stored
            log.error("the experiments' store refused %d records: %s", count, error)
            return
        if not self._failures:
            log.error("the experiments' store fails; records wait: %s", error)
        self._failures += 1

    def _lose_rest(self) -> None:
        rest = self._taken + sum(queue.take()[1] for _, queue, _ in self._queues)
        self._taken = 0
        if rest:
            self._lost += rest
            log.error("the experiments' store failed to the end: %d records are lost", rest)


def write_rows(store: Store, table: sa.Table, rows: list[Row], clock: Callable[[], int]) -> None:
    """The rows are stored; a unit or a request that was there before stays. Raises `StoreError`."""
    text, names = _compile(store.is_sqlite, table)
    with store.write(is_durable=False) as connection:
        # The time now that it has the lock, which it may have waited for.
        written = {"written_at": clock()}
        values: list[Any] = [{**row, **written} for row in rows]
        if names is not None:
            values = list(map(operator.itemgetter(*names), values))
        # Half the cost of executing the expression itself, which looks at each value of each row.
        connection.exec_driver_sql(text, values)


@functools.cache
def _compile(is_sqlite: bool, table: sa.Table) -> tuple[str, tuple[str, ...] | None]:
    """The statement that stores a table's rows, and its parameters in order, None where they have names."""
    insert = sqlite.insert(table) if is_sqlite else postgresql.insert(table)
    statement = _upsert(insert) if table is exposures else insert.on_conflict_do_nothing()
    dialect = sqlite.dialect() if is_sqlite else psycopg.dialect()  # type: ignore[no-untyped-call]
    compiled = statement.compile(dialect=dialect, column_keys=table.c.keys())
    assert isinstance(compiled, SQLCompiler)
    return str(compiled), tuple(compiled.positiontup) if compiled.positiontup is not None else None


def _upsert(insert: Insert) -> sa.Insert:
    """A unit that was there before keeps its first variant, and the earlier of the two times."""
    old, new = exposures.c, insert.excluded
    return insert.on_conflict_do_update(
        index_elements=list(exposures.primary_key),
        set_={
            "first_at": sa.case((new.first_at < old.first_at, new.first_at), else_=old.first_at),
            "switches": old.switches
            + new.switches
            + sa.case((old.variant != new.variant, sa.literal_column("1")), else_=sa.literal_column("0")),
        },
        where=(new.first_at < old.first_at) | (new.variant != old.variant),
    )
