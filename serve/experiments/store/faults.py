"""What a database's error means to whoever runs the server: where, what, and what to do."""

import contextlib
import sqlite3
from collections.abc import Iterator

import sqlalchemy as sa

from adaptact.text import escape_line, first_line
from serve.experiments.errors import StoreError

_SQLITE = {
    "SQLITE_FULL": "the disk is full, or the file as large as allowed; free space, or shorten the retention",
    "SQLITE_READONLY": "the file or its folder is read-only; give the server's user the right to write both",
    "SQLITE_CANTOPEN": "it cannot be opened; expected a file in a folder that the server's user may write to",
    "SQLITE_NOTADB": "the file is no SQLite database; name another file, or restore the store from a backup",
    "SQLITE_CORRUPT": "the file is damaged; restore the store from a backup into an empty folder",
    "SQLITE_BUSY": "another program kept the file locked for too long; end it, or let it write less at once",
    "SQLITE_LOCKED": "another connection kept a table locked for too long; try again",
    "SQLITE_IOERR": "the disk failed to read or write; look at the system's log, and check the disk's space",
    "SQLITE_PERM": "the server's user may not use the file; give it the right to read and write",
}
_POSTGRESQL = {  # by SQLSTATE, or by its class, the first two characters
    "53100": "the database's disk is full; free space, or shorten the retention",
    "53300": "the database takes no more connections; raise its `max_connections`, or run fewer workers",
    "25006": "the database is read-only; name the primary, not a replica",
    "42501": "the database's user may not do this; grant it the rights on the schema",
    "3D000": "there is no such database; create it first: createdb",
    "55P03": "another client kept a table locked for too long; end it",
    "57014": "the statement took too long and was ended",
    "08": "the connection failed; see whether the database runs and can be reached",
    "28": "the database refused the user or the password; see the URL and pg_hba.conf",
    "57": "the database is shutting down or starting up; wait until it runs",
    "53": "the database has too few resources; see its log",
}
_UNREACHABLE = "it cannot be reached; see whether the database runs, and host, port, user and password"


@contextlib.contextmanager
def explained(where: str) -> Iterator[None]:
    """Errors of the database that leave the block are a `StoreError` that names the store."""
    try:
        yield
    except (sa.exc.SQLAlchemyError, sqlite3.Error) as error:
        raise StoreError(f"the store `{where}`: {_explain(error)}") from error


def is_permanent(error: StoreError) -> bool:
    """Whether the rows themselves are at fault, so that writing them again fails again."""
    return isinstance(error.__cause__, sa.exc.DataError | sa.exc.IntegrityError | sa.exc.ProgrammingError)


def _explain(error: Exception) -> str:
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) and error.orig else error
    said = escape_line(first_line(cause))
    return f"{_advise(cause)} ({said})"


def _advise(cause: BaseException) -> str:
    if isinstance(cause, sa.exc.TimeoutError):
        return "all its connections stayed in use for too long; the database is slow, or overloaded"
    name = getattr(cause, "sqlite_errorname", None)
    if name:
        return next((text for code, text in _SQLITE.items() if name.startswith(code)), "SQLite failed")
    state = getattr(cause, "sqlstate", None)
    if state:
        return _POSTGRESQL.get(state) or _POSTGRESQL.get(state[:2]) or "PostgreSQL failed"
    return _UNREACHABLE if type(cause).__name__ == "OperationalError" else "the database failed"
