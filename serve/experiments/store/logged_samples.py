"""Logged inputs and outputs with the labels that came for them, read without holding them all."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import sqlalchemy as sa

from serve.engine.datatypes import BFLOAT16
from serve.engine.signature import Array
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
    """An .npz file, as are the outputs."""
    outputs: bytes
    labels: Mapping[str, float]
    """By metric the last outcome that names the request."""

    def write_line(self) -> str:
        """The sample as one line of JSON, without its end; null stands for NaN and infinities."""
        about = {"request_id": self.request_id, "variant": self.variant, "at": self.at}
        arrays = {"inputs": _read_arrays(self.inputs), "outputs": _read_arrays(self.outputs)}
        return json.dumps({**about, "labels": dict(self.labels), **arrays}, allow_nan=False)


def read_samples(store: Store, experiment: str) -> Iterator[LoggedSample]:
    """Every logged request of an experiment, by request id. Raises `StoreError`."""
    key = (samples.c.request_id, samples.c.variant)
    columns = (*key, samples.c.at, samples.c.inputs, samples.c.outputs)
    query = sa.select(*columns).where(samples.c.experiment == experiment).order_by(*key).limit(_BATCH)
    batch = _read(store, query)
    while batch:
        yield from batch
        after = sa.tuple_(*key) > sa.tuple_(batch[-1].request_id, batch[-1].variant)
        batch = _read(store, query.where(after))


def _read(store: Store, query: sa.Select[Any]) -> list[LoggedSample]:
    with store.read() as connection:
        rows = connection.execute(query).all()
        labels = _read_labels(connection, {row.request_id for row in rows})
        return [LoggedSample(**row._mapping, labels=labels.get(row.request_id, {})) for row in rows]


def _read_labels(connection: sa.Connection, requests: set[str]) -> dict[str, dict[str, float]]:
    """Of each request by metric the last outcome."""
    columns = outcomes.c.request_id, outcomes.c.metric, outcomes.c.value
    order = outcomes.c.event_at, outcomes.c.received_at, outcomes.c.key.desc()
    query = sa.select(*columns).where(outcomes.c.request_id.in_(requests)).order_by(*order)
    labels: dict[str, dict[str, float]] = defaultdict(dict)
    for request_id, metric, value in connection.execute(query):
        labels[request_id][metric] = value
    return labels


def _read_arrays(file: bytes) -> dict[str, object]:
    """The tensors by name, as nested lists."""
    with np.load(BytesIO(file), allow_pickle=False) as arrays:
        return {name: _to_lists(arrays[name]) for name in arrays.files}


def _to_lists(array: Array) -> object:
    if array.dtype == BFLOAT16:  # the upper half of a float32
        array = (np.ascontiguousarray(array).view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    if array.dtype.kind != "f":
        return array.tolist()
    plain: Array = array.astype(np.object_)
    plain[~np.isfinite(array)] = np.array(None, np.object_)
    return plain.tolist()
