"""Each test that takes `store` or `where` runs on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile

import pytest
import sqlalchemy as sa

from serve.experiments.store.database import Store, open_file, open_store
from serve.experiments.store.migrations import MIGRATIONS, read_version
from serve.experiments.store.tables import metadata, schema_versions
from tests.serve.experiments.store.postgresql import running_server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[sa.Engine]:
    """A database of this test run."""
    with running_server() as url:
        engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"), pool_pre_ping=True)
        yield engine
        engine.dispose()


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store: to copy it costs less than to make one."""
    path = tmp_path_factory.mktemp("empty") / "store.db"
    open_file(path).close()
    return path


# `make quick` starts no PostgreSQL.
@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, sa.Engine | None]:
    """The URL of a store, and PostgreSQL's connections to make it empty by."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}", None
    engine: sa.Engine = request.getfixturevalue("postgresql")
    return engine.url.render_as_string(), engine


@pytest.fixture
def unmade(database: tuple[str, sa.Engine | None]) -> str:
    """Where a store may be made; there is no table yet."""
    url, engine = database
    if engine is not None:
        with engine.begin() as connection:
            _drop(connection)
    return url


@pytest.fixture
def where(database: tuple[str, sa.Engine | None], tmp_path: Path, empty_file: Path) -> str:
    """Where an empty store is or may be made; in PostgreSQL the tables of the test before are emptied."""
    url, engine = database
    if engine is None:
        copyfile(empty_file, tmp_path / "store.db")
    else:
        with engine.begin() as connection:
            if read_version(connection) != len(MIGRATIONS):
                _drop(connection)
                return url
            for table in metadata.tables.values():
                if table is not schema_versions:
                    connection.execute(table.delete())
    return url


def _drop(connection: sa.Connection) -> None:
    connection.execute(sa.schema.DropSchema("public", cascade=True, if_exists=True))
    connection.execute(sa.schema.CreateSchema("public"))


@pytest.fixture
def store(where: str) -> Iterator[Store]:
    opened = open_store(where)
    yield opened
    opened.close()
