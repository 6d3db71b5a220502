"""Logged inputs and outputs with the labels that came for them, read without holding them all."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from serve.experiments.store.database import Store
from serve.experiments.store.tables import outcomes, samples

_BATCH = 16  # rows of up to 1 MiB


@dataclass(frozen=True, slots=True)
class LoggedSample:
    """What one request held and was answered by one variant."""

    request_id: str
    variant: str
    at: int
    """Microseconds since 1970."""
    inputs: bytes
    outputs: bytes
    label: float | None
    """The last outcome of the metric that was reported for the request."""


def read_samples(store: Store, experiment: str, metric: str) -> Iterator[LoggedSample]:
    """Every logged request of an experiment, by request id. Raises `StoreError`."""
    last = sa.select(outcomes.c.value).where(
        outcomes.c.request_id == samples.c.request_id, outcomes.c.metric == metric
    )
    order = (outcomes.c.event_at.desc(), outcomes.c.received_at.desc(), outcomes.c.key)
    label = last.order_by(*order).limit(1).scalar_subquery()
    key = (samples.c.request_id, samples.c.variant)
    columns = (*key, samples.c.at, samples.c.inputs, samples.c.outputs, label)
    query = sa.select(*columns).where(samples.c.experiment == experiment).order_by(*key).limit(_BATCH)
    batch = _read(store, query)
    while batch:
        yield from batch
        after = sa.tuple_(*key) > sa.tuple_(batch[-1].request_id, batch[-1].variant)
        batch = _read(store, query.where(after))


def _read(store: Store, query: sa.Select[Any]) -> list[LoggedSample]:
    with store.read() as connection:
        return [LoggedSample(*row) for row in connection.execute(query)]
