"""Results over a growing table, kept by slices, so that a look reads only what changed since the last one.

A slice is a range of `written_at`. Once its end is SETTLE ago no row appears in it any more, and its result
is kept; only the open end is read at each look. A result may also depend on what is written later elsewhere,
such as outcomes of the slice's units, or on the time, such as windows that close: then it is read again.
Machines that share a store must agree on the time to within SETTLE. A first exposure that a worker reports
later than that, after another worker's, is seen in its row but not in the result that is kept.
Nothing of this is stored: after a restart the first look reads everything once, slice by slice.
"""

import bisect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

import sqlalchemy as sa

from serve.experiments.store.database import Store

SETTLE = 60_000_000
"""Microseconds after which a row that was written can be read: longer than any transaction lasts."""
FOREVER = 1 << 62

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Slice(Generic[T]):
    """The result of the rows with `start <= written_at < end`."""

    start: int
    end: int
    result: T
    valid_until: int = FOREVER
    """When the time alone makes it another one."""


class Slices(Generic[T]):
    """The slices of one comparison's rows in a table, of at least `rows` rows each but for the open end."""

    def __init__(self, table: sa.Table, experiment: str, comparison: int, rows: int) -> None:
        self.experiment = experiment
        self._table, self._rows = table, rows
        self._where = (table.c.experiment == experiment, table.c.comparison == comparison)
        self._kept: list[Slice[T]] = []
        self._read_at = 0

    def read(
        self,
        store: Store,
        now: int,
        compute: Callable[[sa.Connection, int, int], tuple[T, int]],
        find_changes: Callable[[sa.Connection, int], Iterable[int]] = lambda connection, since: (),
    ) -> list[T]:
        """The results of all slices at a time.

        `compute` gives the result of a slice and until when it is valid; `find_changes` the `written_at` of
        rows whose result may be another one because of what was written since a time. Each slice is read in
        a transaction of its own, so that a long look holds up nothing. Raises `StoreError`.
        """
        if self._kept:
            self._renew(store, now, compute, find_changes)
        while (end := self._find_end(store, now)) is not None:
            self._kept.append(_compute(store, self._open, end, compute))
        self._read_at = now
        return [part.result for part in (*self._kept, _compute(store, self._open, FOREVER, compute))]

    @property
    def _open(self) -> int:
        """Where the open end begins."""
        return self._kept[-1].end if self._kept else 0

    def _renew(
        self,
        store: Store,
        now: int,
        compute: Callable[[sa.Connection, int, int], tuple[T, int]],
        find_changes: Callable[[sa.Connection, int], Iterable[int]],
    ) -> None:
        ends = [part.end for part in self._kept]
        with store.read() as connection:
            places = {
                bisect.bisect_right(ends, at) for at in find_changes(connection, self._read_at - SETTLE)
            }
        places |= {place for place, part in enumerate(self._kept) if part.valid_until <= now}
        for place in sorted(places):
            if place < len(self._kept):  # the open end is read in any case
                part = self._kept[place]
                self._kept[place] = _compute(store, part.start, part.end, compute)

    def _find_end(self, store: Store, now: int) -> int | None:
        """Where a slice ends that begins with the open end and can be kept; None as long as there is none."""
        at = self._table.c.written_at
        query = sa.select(at).where(*self._where, at >= self._open, at < now - SETTLE)
        with store.read() as connection:
            last = connection.execute(query.order_by(at).offset(self._rows - 1).limit(1)).scalar()
        return None if last is None else last + 1


def _compute(
    store: Store, start: int, end: int, compute: Callable[[sa.Connection, int, int], tuple[T, int]]
) -> Slice[T]:
    with store.read() as connection:
        result, valid_until = compute(connection, start, end)
    return Slice(start, end, result, valid_until)
