"""`adaptact-experiment` against the application in this process."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from serve.client.experiments import command, connecting
from serve.client.experiments.client import ExperimentClient
from serve.engine import Engine, Metrics, open_engine
from serve.rejections import fault_number
from serve.rest.app import create_app
from serve.rollout.options import RolloutOptions
from serve.rollout.rollout import Rollout, open_rollout
from serve.settings import Settings
from tests.serve.conftest import options
from tests.serve.in_process import Client
from tests.serve.rollout.variants import put_variants

Run = Callable[..., int]


class InProcess(httpx.BaseTransport):
    """Lets the application answer, without a socket."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode()
        answer = self._client.request(request.method, path, request.read(), dict(request.headers))
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


@dataclass(frozen=True)
class Served:
    """An application with experiments, and where its store is."""

    rollout: Rollout
    folder: Path
    client: ExperimentClient
    transport: InProcess

    def connect(self, **_: Any) -> ExperimentClient:
        """A client of its own, which the command closes."""
        client = ExperimentClient("http://server")
        client._http = httpx.Client(transport=self.transport)
        return client


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("variants")
    put_variants(folder)
    opened = open_engine(options(folder), Metrics(CollectorRegistry()))
    opened.point_alias("digits", "stable", "1")
    yield opened
    opened.close()


@contextmanager
def open_served(engine: Engine, folder: Path) -> Iterator[Served]:
    engine.point_alias("digits", "stable", "1")  # as before any promotion
    rollout = open_rollout(engine, RolloutOptions(str(folder), folder), fault_number)
    client = ExperimentClient("http://server")
    app = create_app(engine, Settings(models=folder), rollout=rollout)
    transport = InProcess(Client(app))
    client._http = httpx.Client(transport=transport)
    yield Served(rollout, folder, client, transport)
    rollout.close()


@pytest.fixture
def served(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """Without experiments, until the test defines one; the command asks it."""
    with open_served(engine, tmp_path / "store") as opened:
        monkeypatch.setattr(connecting, "connect", opened.connect)
        yield opened


@pytest.fixture(scope="module")
def kept(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The same for all tests of a module, which change nothing."""
    with open_served(engine, tmp_path_factory.mktemp("store")) as opened:
        yield opened


@pytest.fixture
def idle(kept: Served, monkeypatch: pytest.MonkeyPatch) -> Served:
    """Without experiments; the command asks it, and changes nothing."""
    monkeypatch.setattr(connecting, "connect", kept.connect)
    return kept


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command in this process and gives its exit code."""

    def run_command(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["adaptact-experiment", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            command.main()
        return int(ended.value.code or 0)

    return run_command
