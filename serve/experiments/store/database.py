"""The store: one SQLite file, or a PostgreSQL database; transactions that either hold whole or not at all.

Any number of processes may use a store at once. In SQLite a writing transaction takes the lock at its
beginning and waits for it, so that none fails midway; readers see the state of their beginning and hold up no
one. What is written as durable is on the disk when the block ends; the rest, as any commit, survives the end
of the process (kill -9), but its last moments not a power failure.
"""

import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection

from serve.engine.errors import quote
from serve.experiments.errors import StoreError
from serve.experiments.store.faults import explained
from serve.experiments.store.migrations import migrate

log = logging.getLogger("adaptact")

FILE = "experiments.db"
WAIT_SECONDS = 30
"""How long a transaction waits for others before it fails."""

OLDEST_SQLITE = (3, 37)
"""Of November 2021: the first with strict tables."""

_MODE = "adaptact_mode"
_BEGIN = {
    "read": ("BEGIN",),
    "write": ("PRAGMA synchronous = NORMAL", "BEGIN IMMEDIATE"),
    "durable": ("PRAGMA synchronous = FULL", "BEGIN IMMEDIATE"),
}

_CONNECTING = {
    **{"connect_timeout": 10, "tcp_user_timeout": 30_000},
    **{"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 4},
}
"""Of libpq: a database that is gone without a word is noticed within half a minute, and not in hours."""

_ANALYZE = {name: f"ANALYZE (SKIP_LOCKED) {name}" for name in ("exposures", "inferences", "outcomes")}

Insert = sqlite.Insert | postgresql.Insert

_last = [(0, 0)]  # what `now` was, and the monotonic time then


def now() -> int:
    """The time in microseconds since 1970; in one process it never goes back, whatever becomes of the clock.

    What was written since a time is found by it. Where the clock is set back it goes on at half the pace
    until the clock has caught up: were it to stand still, what is due at a time would not come meanwhile.
    """
    before, since = _last[0]
    passed = time.monotonic_ns() // 1000
    at = max(before + (passed - since) // 2, time.time_ns() // 1000)
    _last[0] = at, passed
    return at


class Store:
    """A store with this program's schema; safe to use from several threads. Made by `open_store`."""

    def __init__(self, engine: sa.Engine) -> None:
        self.where = engine.url.render_as_string(hide_password=True)
        """The URL, without its password."""
        self.is_sqlite = engine.dialect.name == "sqlite"
        self._file = Path(engine.url.database or "") if self.is_sqlite else None
        self._identity: tuple[int, int] | None = None
        self._engine = engine
        self._modes = {mode: engine.execution_options(**{_MODE: mode}) for mode in _BEGIN}
        if not self.is_sqlite:
            self._modes["read"] = engine.execution_options(isolation_level="REPEATABLE READ")

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection that sees the store as it is at its first statement. Raises `StoreError`."""
        self._require_file()
        with explained(self.where), self._modes["read"].begin() as connection:
            yield connection

    @contextlib.contextmanager
    def write(self, *, is_durable: bool = True) -> Iterator[sa.Connection]:
        """A connection whose changes are stored when the block ends, none of them if it raises.

        Raises `StoreError`.
        """
        mode = "durable" if is_durable else "write"
        self._require_file()
        with explained(self.where), self._modes[mode].begin() as connection:
            if not self.is_sqlite and not is_durable:
                connection.execute(sa.select(sa.func.set_config("synchronous_commit", "off", True)))
            yield connection

    def insert(self, table: sa.Table) -> Insert:
        """An INSERT in the database's dialect, which can say what happens to rows that are there already."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def renew_statistics(self) -> None:
        """PostgreSQL knows how its tables have grown, or it may read all of one for each row of another.

        Its own daemon does the same, but only once a minute, and some turn it off. SQLite needs none. Raises
        `StoreError`.
        """
        if self.is_sqlite:
            return
        with explained(self.where), self._engine.begin() as connection:
            grown = set(connection.execute(_select_grown()).scalars())
            for table, statement in _ANALYZE.items():
                if table in grown:
                    connection.exec_driver_sql(statement)

    def close(self) -> None:
        """Every connection that is not in use is closed."""
        self._engine.dispose()

    def _require_file(self) -> None:
        """Open connections go on with a file that was removed, and all that they write is lost."""
        if self._file is None:
            return
        identity = _identify(self._file)
        if self._identity is None:
            self._identity = identity
        elif identity != self._identity:
            became = "is gone" if identity is None else "is another one now"
            raise StoreError(
                f"the store `{self.where}`: its file {became}, since it was removed or replaced while it was "
                "in use; expected the file that was opened: put it back with the files beside it, or "
                "restore a backup, then restart the server"
            )


def _identify(file: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def open_store(where: str | Path, *, clock: Callable[[], int] = now) -> Store:
    """The store in a folder (made if it is missing), or at a URL: `sqlite:///file`, `postgresql://…`.

    Its schema is this program's: an empty database gets it, an older one is migrated. Raises `StoreError`
    where it cannot be opened or written, or is no store, or one of a newer program.
    """
    return _open(_read_url(where), clock)


def open_file(path: Path, *, clock: Callable[[], int] = now) -> Store:
    """The store in a SQLite file, made if it is missing; raises `StoreError` as `open_store` does."""
    return _open(sa.URL.create("sqlite", database=str(path)), clock)


def _open(url: sa.URL, clock: Callable[[], int]) -> Store:
    engine = make_engine(url)
    store = Store(engine)
    try:
        _prepare(store, engine, clock)
    except BaseException:
        store.close()
        raise
    return store


def _read_url(where: str | Path) -> sa.URL:
    if isinstance(where, Path) or "://" not in where:
        folder = Path(where)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"the store's folder {quote(str(folder))} cannot be made: {error.strerror}; expected a "
                "folder that the server's user may write to"
            ) from error
        return sa.URL.create("sqlite", database=str(folder / FILE))
    expected = "expected a folder, `sqlite:///path/of/file.db`, or `postgresql://user:password@host/database`"
    try:
        url = sa.make_url(where)
    except (sa.exc.ArgumentError, ValueError) as error:
        raise StoreError(f"the store's URL cannot be read; {expected}") from error
    kind = url.get_backend_name()
    if kind == "sqlite" and url.database and not url.query:
        return url
    if kind in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    raise StoreError(
        f"the store {quote(url.render_as_string(hide_password=True))} is of no known kind; {expected}"
    )


def make_engine(url: sa.URL) -> sa.Engine:
    """The connections to a database, none of which is made yet; raises `StoreError` without its driver."""
    if url.get_backend_name() == "sqlite":
        _require_new_sqlite()
        # A connection for each thread that uses the store at once, as many as there are.
        engine = sa.create_engine(url, pool_size=4, max_overflow=-1, connect_args={"timeout": WAIT_SECONDS})
        sa.event.listen(engine, "connect", _set_up_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
        return engine
    try:
        engine = sa.create_engine(
            url,
            pool_size=2,
            max_overflow=6,
            pool_timeout=WAIT_SECONDS,
            pool_pre_ping=True,  # a database that was restarted is used again
            connect_args={name: value for name, value in _CONNECTING.items() if name not in url.query},
        )
    except ImportError as error:
        raise StoreError(
            f"PostgreSQL needs the package psycopg: pip install 'psycopg[binary]' ({error})"
        ) from error
    sa.event.listen(engine, "connect", _set_up_postgresql)
    return engine


def _require_new_sqlite() -> None:
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        needed = ".".join(str(number) for number in OLDEST_SQLITE)
        raise StoreError(
            f"expected SQLite {needed} or newer, and this Python has {sqlite3.sqlite_version}; use a newer "
            "Python or system, or PostgreSQL"
        )


def _select_grown() -> sa.Select[Any]:
    """The tables that have changed by a fifth since PostgreSQL's statistics of them were made."""
    of = sa.table(
        "pg_stat_user_tables",
        *(sa.column(name) for name in ("schemaname", "relname", "n_live_tup", "n_mod_since_analyze")),
        schema="pg_catalog",
    ).c
    return sa.select(of.relname).where(
        of.schemaname == sa.func.current_schema(), of.n_mod_since_analyze > 500 + of.n_live_tup / 5
    )


def _set_up_sqlite(connection: DBAPIConnection, _: object) -> None:
    # `_begin_sqlite` begins transactions; Python would only before a change.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_size_limit = 67108864")  # the log is cut down to this after it has grown
    # 40 MB of log: inferences lie all over the file, and a page that changes again costs only one write.
    cursor.execute("PRAGMA wal_autocheckpoint = 10000")
    cursor.close()


def _set_up_postgresql(connection: DBAPIConnection, _: object) -> None:
    cursor = connection.cursor()
    # The second one, since a process that is stopped in the middle of a transaction would hold up all others.
    for name in ("lock_timeout", "idle_in_transaction_session_timeout"):
        cursor.execute("SELECT set_config(%s, %s, false)", (name, f"{WAIT_SECONDS}s"))
    cursor.close()
    connection.commit()


def _begin_sqlite(connection: sa.Connection) -> None:
    for statement in _BEGIN[connection.get_execution_options().get(_MODE, "read")]:
        connection.exec_driver_sql(statement)


def _prepare(store: Store, engine: sa.Engine, clock: Callable[[], int]) -> None:
    if store.is_sqlite:
        with explained(store.where):
            _switch_to_wal(engine)
    with store.write() as connection:
        migrate(connection, clock())


def _switch_to_wal(engine: sa.Engine) -> None:
    """The file has a write-ahead log, so that readers and the one writer do not wait for each other.

    The switch needs the file for itself for a moment and, unlike a transaction, does not wait for it: of
    several processes that start at once, all but one try again.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        connection = engine.raw_connection()
        try:
            (mode,) = connection.cursor().execute("PRAGMA journal_mode = WAL").fetchone()
            if mode != "wal":
                log.warning("the store is on a disk without a write-ahead log: reads and writes wait")
            return
        except sqlite3.OperationalError as error:
            is_busy = error.sqlite_errorname.startswith("SQLITE_BUSY")
            if not is_busy or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        finally:
            connection.close()
