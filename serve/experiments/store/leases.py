"""Work that one process of all that share a store does, such as looking at the experiments.

Whoever holds the lease renews it while it goes on; of one that has ended without giving it back it passes to
another within `LEASE_SECONDS`. Machines whose times differ by more may both hold it for a while: what they do
must be harmless when it is done twice. A lease that ends later than any can was taken before a clock was set
back, and is nobody's.
"""

import secrets
from collections.abc import Callable

import sqlalchemy as sa

from serve.experiments.store.database import Store, now
from serve.experiments.store.slices import SETTLE
from serve.experiments.store.tables import looks

LEASE_SECONDS = 15.0
_LENGTH = round(LEASE_SECONDS * 1_000_000)
_SUBJECT = "lease"


class Lease:
    """One kind of work; used by one thread. Every method raises `StoreError`."""

    def __init__(self, store: Store, work: str, clock: Callable[[], int] = now) -> None:
        """Nobody else of this name holds it while this process does."""
        self._store = store
        self._clock = clock
        self._holder = secrets.token_hex(8)
        self._row = {"experiment": "", "comparison": 0, "subject": f"{_SUBJECT}/{work}", "at": 0}
        self._until = 0

    def hold(self) -> bool:
        """Whether this process holds the lease, taking it where nobody does; cheap where it is held."""
        at = self._clock()
        if at < self._until - _LENGTH // 2:
            return True
        if self._is_others(at):
            return False
        self._until = at + _LENGTH if self._take(at, at + _LENGTH) else 0
        return self._until > 0

    def give_back(self) -> None:
        """Another process may hold it from now on."""
        self._until = 0
        with self._store.write(is_durable=False) as connection:
            connection.execute(sa.delete(looks).where(*self._where, looks.c.content.endswith(self._holder)))

    @property
    def _where(self) -> list[sa.ColumnElement[bool]]:
        return [looks.c[name] == value for name, value in self._row.items()]

    def _is_others(self, at: int) -> bool:
        with self._store.read() as connection:
            query = sa.select(looks.c.content).where(*self._where)
            content: str | None = connection.execute(query).scalar()
        if content is None or content.endswith(self._holder):
            return False
        return _write_time(at) <= content < _write_latest(at)

    def _take(self, at: int, until: int) -> bool:
        """Whether it could be had at this time, in one statement."""
        row = {**self._row, "content": f"{_write_time(until)} {self._holder}"}
        insert = self._store.insert(looks).values(**row)
        taken = insert.on_conflict_do_update(
            index_elements=list(looks.primary_key),
            set_={"content": insert.excluded.content},
            where=(looks.c.content < _write_time(at))
            | (looks.c.content >= _write_latest(at))
            | looks.c.content.endswith(self._holder),
        ).returning(looks.c.at)
        with self._store.write(is_durable=False) as connection:
            return connection.execute(taken).first() is not None


def _write_time(at: int) -> str:
    """A text that sorts as the time does."""
    return f"{at:020d}"


def _write_latest(at: int) -> str:
    """The same of when no lease can end that was taken by now, at whichever machine."""
    return _write_time(at + _LENGTH + SETTLE)
