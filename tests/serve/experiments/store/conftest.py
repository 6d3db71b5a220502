"""Each test that takes `store` or `where` runs on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from serve.experiments.store.database import Store, open_store
from tests.serve.experiments.store.postgresql import running_server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a database of this test run."""
    with running_server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty store may be made."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    url = str(request.getfixturevalue("postgresql"))
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.execute(sa.schema.DropSchema("public", cascade=True, if_exists=True))
        connection.execute(sa.schema.CreateSchema("public"))
    engine.dispose()
    return url


@pytest.fixture
def store(where: str) -> Iterator[Store]:
    opened = open_store(where)
    yield opened
    opened.close()
