"""A worker that does not run: the server notices, and goes on without it."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.serve import models
from tests.serve.process import ServerProcess
from tests.serve.workers.running import Connection, children, connections, workers
from tests.waiting import SECONDS, until

LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
SOMAXCONN = Path("/proc/sys/net/core/somaxconn")
MANY = 600


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    models.put(folder, "double", models.model(models.DOUBLE))
    return folder


@pytest.fixture
def alone(folder: Path) -> Iterator[ServerProcess]:
    with ServerProcess("--models", str(folder)) as server:
        yield server


@pytest.mark.slow
def test_a_stopped_worker_is_replaced_and_disturbs_nobody(folder: Path) -> None:
    with workers(folder) as server, connections(server) as clients:
        victim, other = children(server)
        victim.send_signal(signal.SIGSTOP)
        # Half of these are sent to the stopped worker, which does not read them.
        with connections(server) as fresh:
            assert [client.infer()[0] for client in fresh] == [200] * len(fresh)
            # An old connection may be the stopped worker's, and these are the other's.
            assert fresh[0].ask("/v2/models/stats")[0] == 200
            assert fresh[0].ask("/metrics")[0] == 200
            assert fresh[0].ask("/v2/repository/models/double/load", "{}")[0] == 200
        until(lambda: victim not in children(server) and len(children(server)) == 2)
        assert other in children(server)
        assert sum(_is_answered(client) for client in clients) >= len(clients) // 2


def _is_answered(client: Connection) -> bool:
    try:
        return client.infer()[0] == 200
    except OSError:
        return False


@pytest.mark.slow
def test_a_stopped_worker_without_others_is_replaced(alone: ServerProcess) -> None:
    victim = alone.worker
    with connections(alone, 1) as [idle]:
        victim.send_signal(signal.SIGSTOP)
        with socket.create_connection((alone.host, alone.port), timeout=SECONDS) as client:
            client.sendall(LAST)  # it waits for the new worker
            answer = b"".join(iter(lambda: client.recv(1000), b""))  # until nobody has the connection
        assert answer.startswith(b"HTTP/1.1 200 ")
        idle.close()
    until(lambda: victim not in children(alone))
    assert len(children(alone)) == 1


@pytest.mark.slow
def test_a_worker_that_is_stopped_while_it_starts_is_replaced(alone: ServerProcess) -> None:
    alone.worker.kill()
    until(lambda: any(map(_is_started_anew, children(alone))))
    starting = alone.worker
    starting.send_signal(signal.SIGSTOP)
    with connections(alone, 1) as [client]:
        assert client.infer()[0] == 200
    until(lambda: not starting.is_running())


def _is_started_anew(process: psutil.Process) -> bool:
    try:
        return "serve.workers.worker" in process.cmdline()
    except psutil.Error:  # it has just ended
        return False


@pytest.mark.slow
def test_a_worker_that_dies_without_others_is_replaced(alone: ServerProcess) -> None:
    victim = alone.worker
    with connections(alone, 1):
        victim.kill()
        with connections(alone, 1) as [client]:
            assert client.infer()[0] == 200


@pytest.mark.slow
def test_workers_end_with_a_killed_supervisor_even_if_stopped(alone: ServerProcess) -> None:
    worker = alone.worker
    worker.send_signal(signal.SIGSTOP)
    os.kill(alone.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs([worker], SECONDS)
    assert not alive


@contextmanager
def _kept_stopped(worker: psutil.Process) -> Iterator[None]:
    """The worker is stopped again whenever it goes on."""
    ending = threading.Event()

    def stop_again() -> None:
        with suppress(psutil.NoSuchProcess):
            while not ending.wait(0.001):
                worker.send_signal(signal.SIGSTOP)

    thread = threading.Thread(target=stop_again)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


@pytest.mark.slow
def test_a_worker_that_hangs_does_not_delay_the_end(folder: Path) -> None:
    with ServerProcess("--models", str(folder), "--stop-grace-seconds", "1") as server:
        worker = server.worker
        with _kept_stopped(worker):
            assert server.stop() == 0
        until(lambda: not worker.is_running())


@pytest.mark.slow
def test_many_connections_are_taken_before_they_are_distributed(alone: ServerProcess) -> None:
    many = min(MANY, int(SOMAXCONN.read_text()))
    with ExitStack() as closing:
        os.kill(alone.pid, signal.SIGSTOP)
        made = [
            closing.enter_context(socket.create_connection((alone.host, alone.port), timeout=SECONDS))
            for _ in range(many)
        ]
        os.kill(alone.pid, signal.SIGCONT)
        for connection in made:
            connection.sendall(LIVE)
        assert {connection.recv(1000)[:13] for connection in made} == {b"HTTP/1.1 200 "}
