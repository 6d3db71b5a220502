"""The schema's versions: numbered, forward only, each applied whole or not at all."""

from collections.abc import Callable

import sqlalchemy as sa

from serve.experiments.errors import StoreError
from serve.experiments.store.tables import aliases, metadata, outcomes, phases, schema_versions, unit_keys

_LOCK = 0x6164617074  # PostgreSQL's advisory lock of those that migrate at once


def _create(connection: sa.Connection) -> None:
    metadata.create_all(connection, checkfirst=False)


def _add_pins(connection: sa.Connection) -> None:
    """Phases have pins; those of before have none."""
    known = {column["name"] for column in sa.inspect(connection).get_columns(phases.name)}
    if phases.c.pins.name not in known:
        connection.execute(sa.text("ALTER TABLE phases ADD COLUMN pins TEXT"))


def _add_unit_keys(connection: sa.Connection) -> None:
    """The store knows its key once a server has opened it."""
    unit_keys.create(connection, checkfirst=True)


def _add_numbers(connection: sa.Connection) -> None:
    """Outcomes have the number of their request's comparison; those of before have none."""
    known = {column["name"] for column in sa.inspect(connection).get_columns(outcomes.name)}
    if outcomes.c.number.name not in known:
        kind = outcomes.c.number.type.compile(connection.dialect)
        connection.execute(sa.text(f"ALTER TABLE outcomes ADD COLUMN number {kind}"))


def _add_aliases(connection: sa.Connection) -> None:
    """Servers share the aliases that are set from now on."""
    aliases.create(connection, checkfirst=True)


MIGRATIONS: tuple[Callable[[sa.Connection], None], ...] = (
    _create,
    _add_pins,
    _add_unit_keys,
    _add_numbers,
    _add_aliases,
)
"""The n-th one turns version n into n + 1. A released one never changes: a later one alters what it made.

A new store has what the tables say now, so a later one passes over what is there.
"""


def read_version(connection: sa.Connection) -> int:
    """The number of migrations that the store has; 0 for an empty database."""
    if not sa.inspect(connection).has_table(schema_versions.name):
        return 0
    return connection.execute(sa.select(sa.func.max(schema_versions.c.version))).scalar() or 0


def migrate(connection: sa.Connection, now: int) -> None:
    """The schema is this program's, in the connection's transaction.

    Raises `StoreError` for a schema of a newer program, and for tables of the same names by someone else.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    version = read_version(connection)
    require_known(version)
    if version == 0:
        _require_no_foreign_tables(connection)
    for number in range(version, len(MIGRATIONS)):
        MIGRATIONS[number](connection)
        connection.execute(schema_versions.insert(), {"version": number + 1, "applied_at": now})


def require_known(version: int) -> None:
    """Raises `StoreError` for a schema of a newer program."""
    if version > len(MIGRATIONS):
        raise StoreError(
            f"the store's schema has version {version}, this program knows those up to {len(MIGRATIONS)}: "
            "it was written by a newer adaptact; install that one, or name another store"
        )


def _require_no_foreign_tables(connection: sa.Connection) -> None:
    foreign = set(sa.inspect(connection).get_table_names()) & set(metadata.tables)
    if foreign:
        raise StoreError(
            f"the database already has tables {', '.join(sorted(foreign))} that are not this program's: "
            "expected an empty database or a store; name another database or schema"
        )
