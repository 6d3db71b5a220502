from collections.abc import Iterator
from pathlib import Path

import pytest

from serve.engine import Engine, Metrics, open_engine
from serve.rest.app import create_app
from serve.settings import Settings
from tests.serve import models
from tests.serve.conftest import options
from tests.serve.in_process import Client


@pytest.fixture
def changing(tmp_path: Path) -> Path:
    """A folder of models that a test may change."""
    folder = tmp_path / "models"
    models.put(folder, "double", models.model(models.DOUBLE))
    models.put(folder, "double", models.model(models.DOUBLE), "2")
    return folder


@pytest.fixture
def fresh_engine(changing: Path, metrics: Metrics) -> Iterator[Engine]:
    engine = open_engine(options(changing), metrics)
    yield engine
    engine.close()


@pytest.fixture
def fresh(fresh_engine: Engine, changing: Path) -> Client:
    """A client of an application whose models a test may load, unload and name."""
    return Client(create_app(fresh_engine, Settings(models=changing)))
