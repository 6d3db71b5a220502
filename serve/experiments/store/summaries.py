"""What is known of each variant of a comparison, in the constant size that the statistics need.

Looks after the first one read only what is new: see `slices`. A unit counts for the first variant that it
met, and only once its window has closed, whatever happened in it: quick and slow outcomes count alike.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

import numpy as np
import sqlalchemy as sa

from serve.experiments.store.aggregates import (
    Answers,
    Columns,
    Outcomes,
    Pairs,
    Requests,
    Sample,
    summarise_pairs,
    summarise_units,
)
from serve.experiments.store.database import Store
from serve.experiments.store.outcome_queries import (
    OutcomeQuery,
    select_changes,
    select_open_units,
    select_reported,
    select_units,
)
from serve.experiments.store.request_queries import (
    Pairing,
    select_changed_pairs,
    select_exposed,
    select_first_written,
    select_news,
    select_pairs,
    select_switched,
)
from serve.experiments.store.request_tally import RequestTally
from serve.experiments.store.slices import FOREVER, Slices
from serve.experiments.store.tables import exposures, inferences

UNITS_PER_SLICE = 20_000
REQUESTS_PER_SLICE = 50_000
MOST_REPORTED = 100_000
"""Outcomes from before an experiment that are read at once."""
DAY = 86_400_000_000
"""Microseconds."""


_OUTCOMES = ("number", "total", "greatest", "x", "early")


class _Mergeable(Protocol):
    def merge(self, other: Any) -> Any: ...


K = TypeVar("K")
M = TypeVar("M", bound=_Mergeable)


class Summaries:
    """The summaries of a store; they are read one at a time. Every method raises `StoreError`."""

    def __init__(
        self, store: Store, *, units: int = UNITS_PER_SLICE, requests: int = REQUESTS_PER_SLICE
    ) -> None:
        self._store, self._units, self._requests = store, units, requests
        self._kept: dict[object, Slices[Any]] = {}
        self._tallies: dict[tuple[str, int], RequestTally] = {}
        self._lock = threading.Lock()

    def outcomes(self, query: OutcomeQuery, now: int) -> dict[str, Outcomes]:
        """The outcomes of each variant that a unit has met, as they are known at a time."""

        def compute(connection: sa.Connection, start: int, end: int) -> tuple[dict[str, Outcomes], int]:
            return _read_outcomes(connection, query, start, end, now)

        def find_changes(connection: sa.Connection, since: int) -> Iterable[int]:
            return _known(connection.execute(select_changes(query, since)).scalars())

        with self._lock:
            self._store.renew_statistics()
            slices = self._slices(query, exposures, query.experiment, query.comparison)
            return _merge(slices.read(self._store, now, compute, find_changes))

    def reported(
        self, query: OutcomeQuery, since: int, before: int = FOREVER, most: int | None = None
    ) -> Sample:
        """The newest outcomes of all units and requests, whether or not they met an experiment."""
        selected = select_reported(query, since, before, most or MOST_REPORTED)
        with self._store.read() as connection:
            rows = connection.execute(selected).all()
        columns = np.array([tuple(row) for row in rows], dtype=np.float64).reshape(-1, len(_OUTCOMES)).T
        return summarise_units(query, dict(zip(_OUTCOMES, columns, strict=True))).sample

    def requests(self, experiment: str, comparison: int, now: int) -> dict[Answers, Requests]:
        """The inferences of each variant, those in shadow apart."""
        with self._lock:
            return self._tally(experiment, comparison, now).read()

    def pairs(self, pairing: Pairing, now: int) -> dict[str, Pairs]:
        """What each candidate in shadow and the control answered to the same requests."""
        with self._lock:
            last = self._tally(pairing.experiment, pairing.comparison, now).last_shadow_at
            if last is None:
                return {}
            slices = self._slices(pairing, inferences, pairing.experiment, pairing.comparison)

            def compute(connection: sa.Connection, start: int, end: int) -> tuple[dict[str, Pairs], int]:
                # Behind the last one all others would be looked at for nothing.
                return _read_pairs(connection, pairing, start, min(end, last + 1)), FOREVER

            def find_changes(connection: sa.Connection, since: int) -> Iterable[int]:
                return _known(connection.execute(select_changed_pairs(pairing, since)).scalars())

            self._store.renew_statistics()
            return _merge(slices.read(self._store, now, compute, find_changes))

    def exposed(self, experiment: str, comparison: int, now: int) -> dict[str, int]:
        """How many units each variant was the first for."""

        def compute(connection: sa.Connection, start: int, end: int) -> tuple[Counter[str], int]:
            rows = connection.execute(select_exposed(experiment, comparison, start, end))
            return Counter({variant: count for variant, count in rows}), FOREVER

        with self._lock:
            slices = self._slices(("exposed", experiment, comparison), exposures, experiment, comparison)
            return dict(sum(slices.read(self._store, now, compute), Counter()))

    def first_exposure(self, experiment: str, comparison: int) -> int | None:
        """When the first unit met a variant; None if none has."""
        with self._store.read() as connection:
            first: int | None = connection.execute(select_first_written(experiment, comparison)).scalar_one()
            return first

    def count_requests(self, experiment: str, comparison: int, now: int) -> int:
        """How many inferences there are: cheap enough for every second."""
        with self._lock:
            return self._tally(experiment, comparison, now).count

    def has_news(self, experiment: str, comparison: int, since: int) -> bool:
        """Whether a unit, an inference or any outcome was written since a time; as cheap."""
        with self._store.read() as connection:
            return bool(connection.execute(select_news(experiment, comparison, since)).scalar())

    def units_per_day(self, experiment: str, comparison: int, now: int) -> float:
        """New units of the last day, or at the pace since the first one if that is shorter ago."""
        with self._store.read() as connection:
            first = connection.execute(select_first_written(experiment, comparison)).scalar_one()
            if first is None or first >= now:
                return 0.0
            start: int = max(first, now - DAY)
            rows = connection.execute(select_exposed(experiment, comparison, start, now))
            return float(sum(count for _, count in rows)) * DAY / (now - start)

    def switched(self, experiment: str, comparison: int) -> int:
        """How many units met more than one variant."""
        with self._store.read() as connection:
            return int(connection.execute(select_switched(experiment, comparison)).scalar_one())

    def forget(self, experiment: str) -> None:
        """What is kept of an experiment that has ended is given back."""
        with self._lock:
            self._kept = {key: kept for key, kept in self._kept.items() if kept.experiment != experiment}
            self._tallies = {key: tally for key, tally in self._tallies.items() if key[0] != experiment}

    def _tally(self, experiment: str, comparison: int, now: int) -> RequestTally:
        key = experiment, comparison
        tally = self._tallies.setdefault(key, RequestTally(*key, self._requests))
        tally.update(self._store, now)
        return tally

    def _slices(self, key: object, table: sa.Table, experiment: str, comparison: int) -> Slices[Any]:
        rows = self._units if table is exposures else self._requests
        return self._kept.setdefault(key, Slices(table, experiment, comparison, rows))


def _known(times: Iterable[int | None]) -> Iterator[int]:
    """Without the one of rows that belong to another comparison."""
    return (time for time in times if time is not None)


def _merge(parts: Sequence[dict[K, M]]) -> dict[K, M]:
    whole: dict[K, M] = {}
    for part in parts:
        for key, value in part.items():
            whole[key] = whole[key].merge(value) if key in whole else value
    return whole


def _read_outcomes(
    connection: sa.Connection, query: OutcomeQuery, start: int, end: int, now: int
) -> tuple[dict[str, Outcomes], int]:
    found = _group(connection.execute(select_units(query, start, end, now)), _OUTCOMES, keys=1)
    read = {str(variant): summarise_units(query, values) for (variant,), values in found}
    valid_until = FOREVER
    if query.window is not None:
        nothing = {name: np.zeros(0) for name in _OUTCOMES}
        for variant, count, closes in connection.execute(select_open_units(query, start, end, now)):
            known = read.get(variant) or summarise_units(query, nothing)
            read[variant] = replace(known, units=known.units + count, open_units=count)
            valid_until = min(valid_until, closes)
    return read, valid_until


def _read_pairs(connection: sa.Connection, pairing: Pairing, start: int, end: int) -> dict[str, Pairs]:
    columns = ("class", "control_class", "score", "control_score", "label")
    rows = connection.execute(select_pairs(pairing, start, end))
    return {str(variant): summarise_pairs(values) for (variant,), values in _group(rows, columns, keys=1)}


def _group(
    rows: Iterable[Sequence[Any]], columns: Sequence[str], keys: int
) -> Iterator[tuple[tuple[Any, ...], Columns]]:
    """The columns after the first `keys` ones as arrays, for each combination of those; NULL is NaN."""
    groups: dict[tuple[Any, ...], list[Sequence[Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[:keys]), []).append(row[keys:])
    for key, values in groups.items():
        yield key, dict(zip(columns, np.array(values, dtype=np.float64).T, strict=True))
