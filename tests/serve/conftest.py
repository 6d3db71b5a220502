from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry

from serve.engine import Engine, EngineOptions, Metrics, open_engine
from serve.engine.datatypes import DATATYPES
from serve.engine.memory import budget
from serve.engine.memory.amounts import LEAST, ModelMemory
from serve.rest.app import create_app
from serve.settings import Settings
from tests.serve import models
from tests.serve.in_process import Client
from tests.serve.process import ServerProcess

if TYPE_CHECKING:
    from tests.serve.drift.files import Watched


def options(folder: Path, **changes: Any) -> EngineOptions:
    """Options for a folder of models: one core a run, two runs at once."""
    return EngineOptions(**{"folder": folder, "threads": 1, "concurrency": 2, **changes})


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one of every kind of model, all of which load."""
    folder = tmp_path_factory.mktemp("repository")
    models.put(folder, "double", models.model(models.DOUBLE))
    models.put(folder, "double", models.model(models.DOUBLE), "2")
    models.put(folder, "double", models.model(models.DOUBLE), "10")
    models.put(folder, "add_sub", models.model(models.ADD_SUB))
    models.put(folder, "total", models.model(models.TOTAL))
    models.put(folder, "photos", models.model(models.PHOTOS))
    models.put(folder, "lookup", models.model(models.LOOKUP))
    manifest = {"format": 1, "classes": ["zero", "one", "two"]}
    models.put(folder, "classifier", models.with_manifest(models.model(models.DOUBLE), manifest))
    models.put(folder, "slow", models.slow_model(turns=100_000))
    (folder / "log.onnx").write_bytes(models.model(models.LOG).SerializeToString())
    for datatype in DATATYPES:
        models.put(folder, f"identity-{datatype.name}", models.identity_model(datatype.name))
    return folder


@pytest.fixture
def watched(tmp_path: Path) -> Iterator["Watched"]:
    """An engine of `net`, which has a baseline, and of `plain`, and who watches them."""
    from tests.serve.drift.files import open_two  # noqa: PLC0415  # it loads what makes baselines

    with open_two(tmp_path) as opened:
        yield opened


@pytest.fixture
def of_equal_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each loaded version counts as LEAST bytes, and is waited for however busy the machine is."""
    monkeypatch.setattr("serve.engine.model_loader.measure_memory", lambda *_, **__: ModelMemory(0, LEAST))
    monkeypatch.setattr(budget, "WAIT_SECONDS", 600.0)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


@pytest.fixture(scope="session")
def engine(repository: Path) -> Iterator[Engine]:
    opened = open_engine(options(repository), Metrics(CollectorRegistry()))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def client(engine: Engine, repository: Path) -> Client:
    return Client(create_app(engine, Settings(models=repository, body_limit_mib=1)))


@pytest.fixture(scope="session")
def server(repository: Path) -> Iterator[ServerProcess]:
    """The real server, in a process of its own, on the whole repository."""
    with ServerProcess("--models", str(repository)) as started:
        yield started
