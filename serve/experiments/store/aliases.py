"""The aliases of models, where several servers share a store."""

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from serve.experiments.store.database import Store
from serve.experiments.store.tables import aliases


@dataclass(frozen=True, slots=True)
class StoredAlias:
    """What somebody last wanted of an alias."""

    model: str
    alias: str
    version: str | None
    """None where it was removed."""
    at: int
    """Microseconds since 1970; later than of all that was wanted of it before."""


class AliasTable:
    """The aliases of a store. Every method raises `StoreError`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put(self, wanted: StoredAlias) -> int:
        """Store what is wanted; returns its time: whatever clocks say, the last one is the latest."""
        row = {"model": wanted.model, "alias": wanted.alias, "version": wanted.version, "at": wanted.at}
        insert = self._store.insert(aliases).values(**row)
        later = sa.case((insert.excluded.at > aliases.c.at, insert.excluded.at), else_=aliases.c.at + 1)
        stored = insert.on_conflict_do_update(
            index_elements=list(aliases.primary_key),
            set_={"version": insert.excluded.version, "at": later},
        ).returning(aliases.c.at)
        with self._store.write() as connection:
            at: int = connection.execute(stored).scalar_one()
            return at

    def read(self) -> list[StoredAlias]:
        """Every alias that was ever set or removed here, the oldest wish first."""
        with self._store.read() as connection:
            return list(self._read(connection))

    def _read(self, connection: sa.Connection) -> Iterator[StoredAlias]:
        columns = aliases.c.model, aliases.c.alias, aliases.c.version, aliases.c.at
        for row in connection.execute(sa.select(*columns).order_by(aliases.c.at)):
            yield StoredAlias(*row)
