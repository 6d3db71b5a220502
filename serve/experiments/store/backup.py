"""Backups: the whole store as one SQLite file, whichever database it came from, and restored into either.

A backup is the state of one moment; writing goes on meanwhile. The file holds a checksum of each table, and
what was written is read back, when it is made as when it is restored. The key of the units is not in it:
without `unit.key` (`serve.experiments.units`) units that come back are new ones.
"""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile

import sqlalchemy as sa

from adaptact.files import replace_file
from serve.engine.errors import quote
from serve.experiments.errors import StoreError
from serve.experiments.store.database import Store, open_file
from serve.experiments.store.tables import metadata, schema_versions

_ROWS = 2000  # in memory at once
_MODULUS = 1 << 62

_own = sa.MetaData()
_checksums = sa.Table(
    "backup_checksums",
    _own,
    sa.Column("name", sa.Text(), primary_key=True),
    sa.Column("rows", sa.Integer(), nullable=False),
    sa.Column("checksum", sa.Integer(), nullable=False),
    sqlite_strict=True,
)


@dataclass(frozen=True, slots=True)
class Checksum:
    """Of a table's rows, whatever their order."""

    rows: int = 0
    value: int = 0


Checksums = dict[str, Checksum]


def back_up(store: Store, path: Path) -> Checksums:
    """The file holds the store as it is now; what was there before stays until the new one is complete.

    Gives the number of rows of each table, with their checksum. Raises `StoreError`, also where the path is
    that of the store itself.
    """
    _require_elsewhere(store, path)
    with _explained(path), replace_file(path) as temporary:
        copy = open_file(temporary)
        try:
            with store.read() as source, copy.write() as target:
                checksums = _copy(source, target)
                _own.create_all(target)
                rows = [{"name": n, "rows": c.rows, "checksum": c.value} for n, c in checksums.items()]
                target.execute(_checksums.insert(), rows)
            with copy.read() as connection:
                _require_equal(checksums, _read_all(connection), f"the backup {quote(str(path))}")
        finally:
            copy.close()
    return checksums


def restore(path: Path, store: Store) -> Checksums:
    """The store, which must be empty, holds what the backup does; after an error it is empty still.

    Raises `StoreError` for a file that is no complete backup, is damaged, or is of a newer program.
    """
    if not path.is_file():
        raise StoreError(f"there is no backup {quote(str(path))}")
    with _explained(path), _opened(path) as backup, backup.read() as source, store.write() as target:
        expected = _read_checksums(source, path)
        _require_empty(target, store)
        _require_equal(expected, _copy(source, target), f"the backup {quote(str(path))}")
        _require_equal(expected, _read_all(target), f"the store `{store.where}`")
    return expected


@contextmanager
def _opened(path: Path) -> Iterator[Store]:
    """A copy of the backup, which may be of an older program: opening it migrates it."""
    with tempfile.TemporaryDirectory(prefix="adaptact-restore-") as folder:
        copy = Path(folder) / "backup.db"
        copyfile(path, copy)
        try:
            store = open_file(copy)
            try:
                yield store
            finally:
                store.close()
        except StoreError as error:
            said = str(error).replace(f"the store `sqlite:///{copy}`", f"the backup {quote(str(path))}")
            raise StoreError(said) from error


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"the backup {quote(str(path))} cannot be read or written: {error.strerror}; expected a file in "
            "a folder with room for it"
        ) from error


def _tables() -> list[sa.Table]:
    return [table for table in metadata.sorted_tables if table is not schema_versions]


def _copy(source: sa.Connection, target: sa.Connection) -> Checksums:
    """The checksums of what was copied."""
    checksums = {}
    for table in _tables():
        checksums[table.name] = Checksum()
        for rows in _read(source, table):
            target.execute(table.insert(), [dict(row._mapping) for row in rows])
            checksums[table.name] = _add(checksums[table.name], rows)
    return checksums


def _read_all(connection: sa.Connection) -> Checksums:
    checksums = {table.name: Checksum() for table in _tables()}
    for table in _tables():
        for rows in _read(connection, table):
            checksums[table.name] = _add(checksums[table.name], rows)
    return checksums


def _read(connection: sa.Connection, table: sa.Table) -> Iterator[list[sa.Row[tuple[object, ...]]]]:
    result = connection.execution_options(yield_per=_ROWS).execute(sa.select(table))
    for rows in result.partitions():
        yield list(rows)


def _add(checksum: Checksum, rows: list[sa.Row[tuple[object, ...]]]) -> Checksum:
    """The sum of the rows' hashes: the databases have no order in common."""
    value = checksum.value
    for row in rows:
        digest = hashlib.blake2b(repr(tuple(row)).encode(), digest_size=8).digest()
        value += int.from_bytes(digest, "big")
    return Checksum(checksum.rows + len(rows), value % _MODULUS)


def _read_checksums(source: sa.Connection, path: Path) -> Checksums:
    if not sa.inspect(source).has_table(_checksums.name):
        raise StoreError(
            f"the file {quote(str(path))} is a store but no backup: expected a file made by a backup, since "
            "a store's own file may lack what was written last"
        )
    rows = source.execute(sa.select(_checksums))
    known = {row.name: Checksum(row.rows, row.checksum) for row in rows}
    return {table.name: known.get(table.name, Checksum()) for table in _tables()}


def _require_elsewhere(store: Store, path: Path) -> None:
    """Or the backup would take the place of the store's own file, under servers that use it."""
    own = sa.make_url(store.where).database if store.is_sqlite else None
    if own and path.resolve() in {Path(f"{own}{suffix}").resolve() for suffix in ("", "-wal", "-shm")}:
        raise StoreError(f"{quote(str(path))} is the store itself; expected another file for the backup")


def _require_empty(target: sa.Connection, store: Store) -> None:
    for table in _tables():
        if target.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first() is not None:
            raise StoreError(
                f"the store `{store.where}` is not empty: its table `{table.name}` has rows; expected an "
                "empty one, so that nothing is mixed or overwritten; restore into a new folder or database"
            )


def _require_equal(expected: Checksums, got: Checksums, where: str) -> None:
    for name, checksum in expected.items():
        if got[name] != checksum:
            raise StoreError(
                f"{where} is damaged: table `{name}` was written with {checksum.rows} rows and reads as "
                f"{got[name].rows} others; look at the disk, and use another backup"
            )
