import http.client
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
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

READY = b"GET /v2/health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
LIVE = b"GET /adaptact/v1/live HTTP/1.1\r\nHost: x\r\n\r\n"
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


@pytest.mark.slow
def test_connections_are_distributed_evenly(server: ServerProcess) -> None:
    with connections(server, 4 * WORKERS):
        assert connection_counts(server) == [4] * WORKERS
    until(lambda: connection_counts(server) == [0] * WORKERS)
    # Those of one worker end; it gets the next.
    with connections(server, 2 * WORKERS) as made:
        for connection in made[::WORKERS]:
            connection.close()
        until(lambda: sorted(connection_counts(server)) == [0, 2])
        with connections(server, 2):
            assert connection_counts(server) == [2] * WORKERS


def test_a_change_in_one_worker_reaches_all(server: ServerProcess) -> None:
    with connections(server) as clients:
        first = clients[0]
        assert first.ask("/v2/repository/models/other/unload", "{}")[0] == 200
        assert [client.ask("/v2/models/other/ready")[0] for client in clients] == [503] * len(clients)
        assert first.ask("/v2/repository/models/other/load", "{}")[0] == 200
        assert [client.ask("/v2/models/other/ready")[0] for client in clients] == [200] * len(clients)

        path = "/adaptact/v1/models/double/aliases/candidate"
        assert first.ask(path, '{"version": "1"}', "PUT")[0] == 200
        assert [client.infer("candidate")[1]["model_version"] for client in clients] == ["1"] * len(clients)
        assert first.ask(path, method="DELETE")[0] == 200
        assert [client.infer("candidate")[0] for client in clients] == [404] * len(clients)

        assert first.ask("/v2/logging", '{"log_warning": false}')[0] == 200
        assert [client.ask("/v2/logging")[1]["log_warning"] for client in clients] == [False] * len(clients)
        first.ask("/v2/logging", '{"log_warning": true}')


def test_an_impossible_change_has_the_error_of_one_worker(server: ServerProcess) -> None:
    with connections(server) as clients:
        for client in clients:
            status, answer = client.ask("/v2/repository/models/missing/load", "{}")
            assert status == 404
            assert answer["error"].startswith("failed to load `missing`")


@pytest.mark.slow
def test_metrics_and_statistics_are_of_all_workers(server: ServerProcess) -> None:
    def counted(text: str, name: str) -> float:
        families = text_string_to_metric_families(text)
        return sum(s.value for family in families for s in family.samples if s.name == name)

    def succeeded(connection: Connection) -> int:
        [_, second] = connection.ask("/v2/models/double/stats")[1]["model_stats"]
        assert second["version"] == "2"
        runs = sum(batch["compute_infer"]["count"] for batch in second["batch_stats"])
        assert runs == second["execution_count"]
        return int(second["inference_stats"]["success"]["count"])

    requests = "adaptact_inference_requests_total"
    with connections(server) as clients:
        before = succeeded(clients[0])
        metrics = clients[0].ask("/metrics")[1]
        for client in 3 * clients:
            assert client.infer()[0] == 200
        for client in clients:
            assert succeeded(client) - before == 3 * len(clients)
            text = client.ask("/metrics")[1]
            assert counted(text, requests) - counted(metrics, requests) == 3 * len(clients)
            assert counted(text, "adaptact_workers") == WORKERS


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced(folder: Path) -> None:
    with workers(folder) as server, connections(server) as clients:
        clients[0].ask("/v2/repository/models/other/unload", "{}")
        clients[0].ask("/adaptact/v1/models/double/aliases/candidate", '{"version": "1"}', "PUT")
        victim, *others = children(server)
        victim.send_signal(signal.SIGKILL)
        broken = 0
        for client in clients:
            try:
                assert client.infer()[0] == 200
            except (OSError, http.client.HTTPException):
                broken += 1
        assert broken == len(clients) // WORKERS
        until(lambda: len(children(server)) == WORKERS and victim not in children(server))
        assert set(others) <= set(children(server))
        with connections(server, 4 * WORKERS) as fresh:
            # Connections wait for nobody: until the new worker is ready, the others get them.
            assert [client.infer()[0] for client in fresh] == [200] * len(fresh)

        def all_workers_know() -> bool:
            with connections(server, 4 * WORKERS) as fresh:
                unloaded = [client.ask("/v2/models/other/ready")[0] for client in fresh]
                versions = [client.infer("candidate")[1]["model_version"] for client in fresh]
                text = fresh[0].ask("/metrics")[1]
            assert unloaded == [503] * len(fresh)
            assert versions == ["1"] * len(fresh)
            return f"adaptact_workers {WORKERS}.0" in text

        until(all_workers_know)


@pytest.mark.slow
def test_sigterm_ends_all_workers(folder: Path) -> None:
    with workers(folder) as server, socket.create_connection((server.host, server.port), SECONDS) as live:
        processes = children(server)
        assert len(processes) == WORKERS
        live.sendall(LIVE)
        snapshot = b"".join(iter(lambda: live.recv(1), b"}"))
        assert b'"workers":%d,' % WORKERS in snapshot
        assert server.stop() == 0
        assert not any(process.is_running() for process in processes)
        assert _read_answer(live).endswith(b"\r\n0\r\n\r\n")  # whoever looked on was told the end


def _read_answer(connection: socket.socket) -> bytes:
    """All that the server sends until it closes the connection."""
    return b"".join(iter(lambda: connection.recv(1000), b""))


@pytest.mark.slow
def test_a_server_that_stops_answers_what_still_comes_and_closes(folder: Path) -> None:
    limits = ("--stop-grace-seconds", "3600", "--stop-linger-seconds", "3600")
    body = BODY.encode()
    with workers(folder, *limits) as server, ExitStack() as closing:

        def connect() -> socket.socket:
            made = socket.create_connection((server.host, server.port), timeout=SECONDS)
            return closing.enter_context(made)

        idle, upload = [connect() for _ in range(WORKERS)], connect()
        upload.sendall(INFER % len(body) + body[:5])
        until(lambda: sum(connection_counts(server)) == len(idle) + 1)
        os.kill(server.pid, signal.SIGTERM)

        def are_stopping() -> bool:
            # All are taken before any is answered: each goes to the worker that has the fewest.
            late, before = [connect() for _ in range(2 * WORKERS)], len(idle) + 1
            until(lambda: sum(connection_counts(server)) == before + len(late))
            for connection in late:
                connection.sendall(READY)
            return all(_read_answer(connection).startswith(b"HTTP/1.1 503 ") for connection in late)

        until(are_stopping)
        upload.sendall(body[5:])
        answers = [_read_answer(upload)]
        for connection in (*idle, connect()):
            connection.sendall(INFER % len(body) + body)
            answers.append(_read_answer(connection))
        for answer in answers:
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b"\r\nconnection: close\r\n" in answer
        assert server.stop() == 0  # it need not linger for an hour


@pytest.mark.slow
def test_idle_connections_are_closed_before_the_grace_is_over(folder: Path) -> None:
    limits = ("--stop-grace-seconds", "3600", "--stop-linger-seconds", "0.1")
    with workers(folder, *limits) as server, connections(server):
        assert server.stop() == 0


@pytest.mark.slow
def test_workers_end_with_a_killed_supervisor(folder: Path) -> None:
    with workers(folder) as server:
        processes = children(server)
        os.kill(server.pid, signal.SIGKILL)
        _, alive = psutil.wait_procs(processes, SECONDS)
        assert not alive


@pytest.mark.slow
def test_workers_that_cannot_start_end_the_server(tmp_path: Path) -> None:
    command = [str(COMMAND), "--models", str(tmp_path), "--port", "0", "--workers", str(WORKERS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 1
    assert "holds no model" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_sigterm_ends_workers_that_load_models(tmp_path: Path) -> None:
    models.put(tmp_path, "slow", models.slow_model(turns=10**12))  # its first run, on zeros, takes days
    command = [str(COMMAND), "--models", str(tmp_path), "--port", "0", "--workers", str(WORKERS)]
    command += ["--stop-grace-seconds", "3600"]  # for those who wait for an answer; here nobody does
    command += ["--run-seconds", "3600", "--load-seconds", "3600"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            loading = psutil.Process(process.pid)
            until(lambda: len(loading.children()) == WORKERS)
            processes = loading.children()
            # Well into that run.
            until(lambda: all(worker.cpu_times().user > 1.5 for worker in processes))
            process.send_signal(signal.SIGTERM)
            assert process.wait(SECONDS) == 0
        finally:
            process.kill()
    _, alive = psutil.wait_procs(processes, SECONDS)
    assert not alive


@pytest.mark.slow
def test_a_clients_limit_holds_for_all_workers_together(folder: Path) -> None:
    with workers(folder, "--client-requests-per-second", "0.0001") as server, connections(server) as clients:
        answers = [client.infer() for client in 2 * clients]
    assert [status for status, _ in answers] == [200] + [429] * (len(answers) - 1)
    assert "which is this client's limit" in answers[1][1]["error"]


@pytest.mark.slow
def test_the_connection_limit_holds_for_all_workers_together(folder: Path) -> None:
    limit = 2 * WORKERS
    with workers(folder, "--connections", str(limit)) as server, connections(server, limit) as made:
        for _ in range(3):
            one_more = Connection(server)
            status, answer = one_more.infer()
            one_more.close()
            assert status == 503
            assert "as many connections as it takes" in answer["error"]
        assert [client.infer()[0] for client in made] == [200] * limit

        def there_is_room() -> bool:
            another = Connection(server)
            status, _ = another.infer()
            another.close()
            return status == 200

        made[0].close()
        until(there_is_room)


@pytest.mark.slow
def test_dead_and_silent_connections_leave_room(folder: Path) -> None:
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
