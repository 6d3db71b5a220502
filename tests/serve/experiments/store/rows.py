"""What tests of the store write and read."""

from typing import Any

import sqlalchemy as sa

from serve.experiments.store.database import Store
from serve.experiments.store.exposures import write_rows
from serve.experiments.store.records import (
    Arm,
    Inference,
    pack_exposure,
    pack_inference,
    read_exposures,
    read_inferences,
)
from serve.experiments.store.tables import exposures, inferences


def arm(**changes: Any) -> Arm:
    """The arm of variant `a` in experiment `e`."""
    usual = {"experiment": "e", "comparison": 1, "phase": 1, "variant": "a", "unit_kind": "header"}
    return Arm(**{**usual, "model": "m", "version": "1", "digest": b"d" * 32, **changes})


def unit(number: int) -> bytes:
    """The hash of a unit."""
    return number.to_bytes(16, "big")


def read_rows(store: Store, table: sa.Table, *columns: str) -> list[tuple[Any, ...]]:
    """The table's rows, or these columns of it, in the order of the columns."""
    chosen = [table.c[name] for name in columns or table.c.keys()]
    with store.read() as connection:
        return sorted((tuple(row) for row in connection.execute(sa.select(*chosen))), key=repr)


def count_rows(store: Store, table: sa.Table) -> int:
    """How many rows the table has."""
    with store.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def put_exposure(store: Store, number: int, at: int, **changes: Any) -> None:
    """Unit `number` meets the arm at a time, which is also when this is written."""
    records = memoryview(pack_exposure(at, 0, unit(number)))
    for rows, _ in read_exposures(records, [arm(**changes)], set()):
        write_rows(store, exposures, rows, lambda: at)


def put_inference(store: Store, number: int, inference: Inference, **changes: Any) -> None:
    """The arm answers unit `number`; it is written at once."""
    records = memoryview(pack_inference(0, unit(number), inference))
    for rows, _ in read_inferences(records, [arm(**changes)]):
        write_rows(store, inferences, rows, lambda: inference.at)
