from collections.abc import Iterator
from pathlib import Path

import pytest

from serve.engine import Engine, Metrics, open_engine
from serve.rejections import fault_number
from serve.rest.app import create_app
from serve.rollout.options import RolloutOptions
from serve.rollout.rollout import Rollout, open_rollout
from serve.settings import Settings
from tests.serve import models
from tests.serve.conftest import options
from tests.serve.in_process import Client
from tests.serve.rollout.variants import put_variants


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


@pytest.fixture
def variants(tmp_path: Path, metrics: Metrics) -> Iterator[Engine]:
    """The models of experiments; version 1 of `digits` answers by default."""
    put_variants(tmp_path / "models")
    engine = open_engine(options(tmp_path / "models"), metrics)
    engine.point_alias("digits", "stable", "1")
    yield engine
    engine.close()


@pytest.fixture
def rollout(variants: Engine, tmp_path: Path) -> Iterator[Rollout]:
    """The experiments of a store that has none yet."""
    opened = open_rollout(variants, RolloutOptions(str(tmp_path), tmp_path), fault_number)
    yield opened
    opened.close()


@pytest.fixture
def experimenting(variants: Engine, rollout: Rollout, tmp_path: Path) -> Client:
    """A client of an application with these experiments."""
    return Client(create_app(variants, Settings(models=tmp_path), rollout=rollout))
