import http.client
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.serve import models
from tests.serve.process import COMMAND, ServerProcess

WORKERS = 2
WAIT_SECONDS = 30
BODY = json.dumps({"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1.0, 2.0, 3.0]}]})


@contextmanager
def workers(folder: Path, *arguments: str) -> Iterator[ServerProcess]:
    with ServerProcess("--models", str(folder), "--workers", str(WORKERS), *arguments) as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for version in ("1", "2"):
        models.put(folder, "double", models.model(models.DOUBLE), version)
    models.put(folder, "other", models.model(models.LOG))
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[ServerProcess]:
    with workers(folder) as server:
        yield server


class Connection:
    """One connection, which is one worker's."""

    def __init__(self, server: ServerProcess) -> None:
        self._connection = http.client.HTTPConnection(server.host, server.port, timeout=WAIT_SECONDS)

    def ask(self, path: str, body: str | None = None, method: str = "") -> tuple[int, Any]:
        self._connection.request(method or ("GET" if body is None else "POST"), path, body)
        answer = self._connection.getresponse()
        text = answer.read().decode()
        return answer.status, json.loads(text) if text.startswith(("{", "[")) else text

    def infer(self, version: str = "") -> tuple[int, Any]:
        return self.ask(f"/v2/models/double{version and f'/versions/{version}'}/infer", BODY)

    def close(self) -> None:
        self._connection.close()


@contextmanager
def connections(server: ServerProcess, count: int = 2 * WORKERS) -> Iterator[list[Connection]]:
    """So many connections, which are dealt out to all workers in turn."""
    with ExitStack() as closing:
        made = [Connection(server) for _ in range(count)]
        for each in made:
            closing.callback(each.close)
            assert each.ask("/v2/health/live")[0] == 200
        yield made


def children(server: ServerProcess) -> list[psutil.Process]:
    return psutil.Process(server.pid).children()


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_every_worker_gets_as_many_connections_as_the_others(server: ServerProcess) -> None:
    with connections(server, 4 * WORKERS):
        counts = [
            sum(each.status == psutil.CONN_ESTABLISHED and each.laddr.port == server.port for each in found)
            for found in (child.net_connections("tcp") for child in children(server))
        ]
    assert counts == [4] * WORKERS


def test_what_one_worker_is_told_reaches_all(server: ServerProcess) -> None:
    with connections(server) as asked:
        first = asked[0]
        assert first.ask("/v2/repository/models/other/unload", "{}")[0] == 200
        assert [each.ask("/v2/models/other/ready")[0] for each in asked] == [503] * len(asked)
        assert first.ask("/v2/repository/models/other/load", "{}")[0] == 200
        assert [each.ask("/v2/models/other/ready")[0] for each in asked] == [200] * len(asked)

        path = "/adaptact/v1/models/double/aliases/candidate"
        assert first.ask(path, '{"version": "1"}', "PUT")[0] == 200
        assert [each.infer("candidate")[1]["model_version"] for each in asked] == ["1"] * len(asked)
        assert first.ask(path, method="DELETE")[0] == 200
        assert [each.infer("candidate")[0] for each in asked] == [404] * len(asked)

        assert first.ask("/v2/logging", '{"log_warning": false}')[0] == 200
        assert [each.ask("/v2/logging")[1]["log_warning"] for each in asked] == [False] * len(asked)
        first.ask("/v2/logging", '{"log_warning": true}')


def test_what_cannot_be_done_is_refused_as_one_worker_would(server: ServerProcess) -> None:
    with connections(server) as asked:
        for each in asked:
            status, answer = each.ask("/v2/repository/models/missing/load", "{}")
            assert status == 404
            assert answer["error"].startswith("Request for unknown model: `missing`")


def test_metrics_and_statistics_are_of_all_workers_together(server: ServerProcess) -> None:
    def counted(text: str, name: str) -> float:
        families = text_string_to_metric_families(text)
        return sum(each.value for family in families for each in family.samples if each.name == name)

    def succeeded(connection: Connection) -> int:
        [_, second] = connection.ask("/v2/models/double/stats")[1]["model_stats"]
        assert second["version"] == "2"
        runs = sum(batch["compute_infer"]["count"] for batch in second["batch_stats"])
        assert runs == second["execution_count"]
        return int(second["inference_stats"]["success"]["count"])

    requests = "adaptact_inference_requests_total"
    with connections(server) as asked:
        before = succeeded(asked[0])
        metrics = asked[0].ask("/metrics")[1]
        for each in 3 * asked:
            assert each.infer()[0] == 200
        for each in asked:
            assert succeeded(each) - before == 3 * len(asked)
            text = each.ask("/metrics")[1]
            assert counted(text, requests) - counted(metrics, requests) == 3 * len(asked)
            assert counted(text, "adaptact_workers") == WORKERS


def test_a_worker_that_dies_is_replaced_and_only_its_connections_break(folder: Path) -> None:
    with workers(folder) as server, connections(server) as asked:
        asked[0].ask("/v2/repository/models/other/unload", "{}")
        asked[0].ask("/adaptact/v1/models/double/aliases/candidate", '{"version": "1"}', "PUT")
        victim, *others = children(server)
        victim.send_signal(signal.SIGKILL)
        broken = 0
        for each in asked:
            try:
                assert each.infer()[0] == 200
            except (OSError, http.client.HTTPException):
                broken += 1
        assert broken == len(asked) // WORKERS
        until(lambda: len(children(server)) == WORKERS and victim not in children(server))
        assert set(others) <= set(children(server))
        with connections(server, 4 * WORKERS) as fresh:
            # Connections wait for nobody: until the new worker is ready, the others get them.
            assert [each.infer()[0] for each in fresh] == [200] * len(fresh)

        def everybody_knows() -> bool:
            with connections(server, 4 * WORKERS) as fresh:
                unloaded = [each.ask("/v2/models/other/ready")[0] for each in fresh]
                versions = [each.infer("candidate")[1]["model_version"] for each in fresh]
                text = fresh[0].ask("/metrics")[1]
            assert unloaded == [503] * len(fresh)
            assert versions == ["1"] * len(fresh)
            return f"adaptact_workers {WORKERS}.0" in text

        until(everybody_knows)


def test_sigterm_ends_all_with_status_0(folder: Path) -> None:
    with workers(folder) as server:
        found = children(server)
        assert len(found) == WORKERS
        assert server.stop() == 0
        assert not any(each.is_running() for each in found)


def test_workers_do_not_outlive_a_supervisor_that_is_killed(folder: Path) -> None:
    with workers(folder) as server:
        found = children(server)
        os.kill(server.pid, signal.SIGKILL)
        _, alive = psutil.wait_procs(found, WAIT_SECONDS)
        assert not alive


def test_a_server_whose_workers_cannot_start_says_why_and_ends(tmp_path: Path) -> None:
    command = [str(COMMAND), "--models", str(tmp_path), "--port", "0", "--workers", str(WORKERS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_SECONDS, check=False)
    assert done.returncode == 1
    assert "holds no model" in done.stderr
    assert "Traceback" not in done.stderr
