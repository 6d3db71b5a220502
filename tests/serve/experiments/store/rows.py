"""What tests of the store write and read."""

from typing import Any

import sqlalchemy as sa

from serve.experiments.store.database import Store
from serve.experiments.store.records import Arm


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
