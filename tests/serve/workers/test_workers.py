import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.serve import models
from tests.serve.process import COMMAND, ServerProcess
from tests.serve.workers.running import (
    BODY,
    WORKERS,
    Connection,
    children,
    connection_counts,
    connections,
    workers,
)
from tests.waiting import SECONDS, until

LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
INFER = b"POST /v2/models/double/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"


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


def test_every_worker_gets_as_many_connections_as_the_others(server: ServerProcess) -> None:
    with connections(server, 4 * WORKERS):
        assert connection_counts(server) == [4] * WORKERS
    until(lambda: connection_counts(server) == [0] * WORKERS)
    # Those of one worker end; it gets the next.
    with connections(server, 2 * WORKERS) as made:
        for each in made[::WORKERS]:
            each.close()
        until(lambda: sorted(connection_counts(server)) == [0, 2])
        with connections(server, 2):
            assert connection_counts(server) == [2] * WORKERS


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
            assert answer["error"].startswith("failed to load `missing`")


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


def test_a_connection_that_is_kept_open_does_not_hold_up_the_end(folder: Path) -> None:
    grace = 40
    with workers(folder, "--stop-grace-seconds", str(grace)) as server, ExitStack() as closing:
        begun = [
            closing.enter_context(socket.create_connection((server.host, server.port))) for _ in range(2)
        ]
        body = BODY.encode()
        for each in begun:
            each.sendall(INFER % len(body) + body[:5])
        os.kill(server.pid, signal.SIGTERM)
        for _ in range(10):
            late = closing.enter_context(socket.create_connection((server.host, server.port)))
            with suppress(ConnectionError):
                late.sendall(LIVE)
                assert late.recv(1000)[:13] in (b"HTTP/1.1 200 ", b"")
            time.sleep(0.1)
        for each in begun:
            each.sendall(body[5:])
            assert each.recv(1000).startswith(b"HTTP/1.1 ")
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < grace / 2


def test_workers_do_not_outlive_a_supervisor_that_is_killed(folder: Path) -> None:
    with workers(folder) as server:
        found = children(server)
        os.kill(server.pid, signal.SIGKILL)
        _, alive = psutil.wait_procs(found, SECONDS)
        assert not alive


def test_a_server_whose_workers_cannot_start_says_why_and_ends(tmp_path: Path) -> None:
    command = [str(COMMAND), "--models", str(tmp_path), "--port", "0", "--workers", str(WORKERS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 1
    assert "holds no model" in done.stderr
    assert "Traceback" not in done.stderr


def test_sigterm_while_models_load_ends_all_with_status_0(tmp_path: Path) -> None:
    models.put(tmp_path, "slow", models.slow_model(turns=10**12))  # its first run, on zeros, takes days
    command = [str(COMMAND), "--models", str(tmp_path), "--port", "0", "--workers", str(WORKERS)]
    command += ["--stop-grace-seconds", "3600"]  # for those who wait for an answer; here nobody does
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            loading = psutil.Process(process.pid)
            until(lambda: len(loading.children()) == WORKERS)
            found = loading.children()
            until(lambda: all(each.cpu_times().user > 5 for each in found))  # they are well into that run
            process.send_signal(signal.SIGTERM)
            assert process.wait(SECONDS) == 0
        finally:
            process.kill()
    _, alive = psutil.wait_procs(found, SECONDS)
    assert not alive


def test_the_limit_of_a_client_holds_for_all_workers_together(folder: Path) -> None:
    with workers(folder, "--client-requests-per-second", "0.0001") as server, connections(server) as asked:
        answers = [each.infer() for each in 2 * asked]
    assert [status for status, _ in answers] == [200] + [429] * (len(answers) - 1)
    assert "which is this client's limit" in answers[1][1]["error"]


def test_the_limit_of_connections_holds_for_all_workers_together(folder: Path) -> None:
    limit = 2 * WORKERS
    with workers(folder, "--connections", str(limit)) as server, connections(server, limit) as made:
        for _ in range(3):
            one_more = Connection(server)
            status, answer = one_more.infer()
            one_more.close()
            assert status == 503
            assert "as many connections as it takes" in answer["error"]
        assert [each.infer()[0] for each in made] == [200] * limit

        def there_is_room() -> bool:
            another = Connection(server)
            status, _ = another.infer()
            another.close()
            return status == 200

        made[0].close()
        until(there_is_room)


def test_connections_of_a_worker_that_died_and_those_that_say_nothing_leave_room(folder: Path) -> None:
    limit = 2 * WORKERS
    with workers(folder, "--connections", str(limit)) as server:
        for _ in range(3 * limit):
            socket.create_connection((server.host, server.port)).close()
        until(lambda: connection_counts(server) == [0] * WORKERS)
        with connections(server, limit):
            victim = children(server)[0]
            victim.kill()
            until(lambda: len(children(server)) == WORKERS and victim not in children(server))
            with connections(server, limit // WORKERS):
                pass
