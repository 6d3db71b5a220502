"""What is old is deleted: in batches, between which others write.

What a running experiment was told is kept however old it is, since its verdict rests on it; only its logged
inputs and outputs have a time of their own. Definitions, phases, looks and the audit trail are small: they
stay.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from serve.experiments.store.database import Store
from serve.experiments.store.tables import exposures, inferences, outcomes, phases, samples

DAY = 86_400_000_000
"""In microseconds."""
BATCH = 500
"""Rows that are deleted in one transaction."""
PAUSE_SECONDS = 0.05
"""Between two transactions, in which others get their turn."""

_RUNNING = ("shadow", "ramp", "paused")


@dataclass(frozen=True, slots=True)
class Deleted:
    """How many rows were deleted."""

    exposures: int = 0
    inferences: int = 0
    outcomes: int = 0
    samples: int = 0


def delete_old(
    store: Store,
    now: int,
    days: float,
    sample_days: Mapping[str, float],
    *,
    is_stopping: Callable[[], bool] = lambda: False,
    sleep: Callable[[float], None] = time.sleep,
) -> Deleted:
    """Delete what is older than `days`, and logged inputs and outputs older than their experiment's days.

    Those of an experiment that is not in `sample_days` are kept for `days`. It ends early, between two
    batches, once `is_stopping`; what is left is deleted the next time. Raises `StoreError`.
    """

    def delete(table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
        count = 0
        while not is_stopping() and (deleted := _delete_batch(store, table, where)):
            count += deleted
            sleep(PAUSE_SECONDS)
        return count

    before = now - round(days * DAY)
    running = _find_running(store)
    counts = {
        table.name: sum(
            delete(table, *_is_of(table, *comparison), table.c.written_at < before)
            for comparison in _list_comparisons(store, table)
            if comparison not in running
        )
        for table in (exposures, inferences)
    }
    kept_from = min([before, *running.values()])
    others = samples.c.experiment.not_in(list(sample_days))
    logged = delete(samples, samples.c.at < before, others)
    for experiment, its_days in sample_days.items():
        its = (samples.c.experiment == experiment, samples.c.at < now - round(its_days * DAY))
        logged += delete(samples, *its)
    return Deleted(**counts, outcomes=delete(outcomes, outcomes.c.received_at < kept_from), samples=logged)


def _delete_batch(store: Store, table: sa.Table, where: tuple[sa.ColumnElement[bool], ...]) -> int:
    key = sa.tuple_(*table.primary_key)
    batch = sa.select(*table.primary_key).where(*where).limit(BATCH)
    with store.write(is_durable=False) as connection:
        return connection.execute(table.delete().where(key.in_(batch))).rowcount


def _find_running(store: Store) -> dict[tuple[str, int], int]:
    """The comparisons that go on, and since when."""
    last = sa.select(phases.c.experiment, sa.func.max(phases.c.number).label("number"))
    last_phases = last.group_by(phases.c.experiment).subquery()
    is_last = (phases.c.experiment == last_phases.c.experiment) & (phases.c.number == last_phases.c.number)
    present = sa.select(phases.c.experiment, phases.c.comparison).where(phases.c.stage.in_(_RUNNING))
    query = present.join(last_phases, is_last).subquery()
    started = sa.select(phases.c.experiment, phases.c.comparison, sa.func.min(phases.c.started_at)).join(
        query,
        (phases.c.experiment == query.c.experiment) & (phases.c.comparison == query.c.comparison),
    )
    with store.read() as connection:
        rows = connection.execute(started.group_by(phases.c.experiment, phases.c.comparison))
        return {(experiment, comparison): since for experiment, comparison, since in rows}


def _list_comparisons(store: Store, table: sa.Table) -> Iterator[tuple[str, int]]:
    """The comparisons that have rows in the table, each found by a step in an index."""
    names = (table.c.experiment, table.c.comparison)
    query = sa.select(*names).order_by(*names).limit(1)
    row = _first(store, query)
    while row is not None:
        yield row
        row = _first(store, query.where(sa.tuple_(*names) > sa.tuple_(*row)))


def _first(store: Store, query: sa.Select[Any]) -> tuple[str, int] | None:
    with store.read() as connection:
        row = connection.execute(query).first()
    return None if row is None else (row[0], row[1])


def _is_of(table: sa.Table, experiment: str, comparison: int) -> tuple[sa.ColumnElement[bool], ...]:
    return table.c.experiment == experiment, table.c.comparison == comparison
