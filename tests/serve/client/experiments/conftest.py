"""`adaptact-experiment` against the application in this process."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

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


@pytest.fixture
def engine(tmp_path: Path, metrics: Metrics) -> Iterator[Engine]:
    put_variants(tmp_path / "models")
    opened = open_engine(options(tmp_path / "models"), metrics)
    opened.point_alias("digits", "stable", "1")
    yield opened
    opened.close()


@pytest.fixture
def served(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    folder = tmp_path / "store"
    rollout = open_rollout(engine, RolloutOptions(str(folder), folder), fault_number)
    app = create_app(engine, Settings(models=tmp_path), rollout=rollout)

    def connect(**_: Any) -> ExperimentClient:
        client = ExperimentClient("http://server")
        client._http = httpx.Client(transport=InProcess(Client(app)))
        return client

    monkeypatch.setattr(connecting, "connect", connect)
    yield Served(rollout, folder, connect())
    rollout.close()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command in this process and gives its exit code."""

    def run_command(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["adaptact-experiment", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            command.main()
        return int(ended.value.code or 0)

    return run_command
