"""A server of two workers, and connections to both."""

import http.client
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.serve.process import ServerProcess
from tests.waiting import SECONDS

WORKERS = 2
BODY = json.dumps({"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1.0, 2.0, 3.0]}]})


@contextmanager
def workers(folder: Path, *arguments: str) -> Iterator[ServerProcess]:
    with ServerProcess("--models", str(folder), "--workers", str(WORKERS), *arguments) as server:
        yield server


class Connection:
    """One connection, which is one worker's."""

    def __init__(self, server: ServerProcess) -> None:
        self._connection = http.client.HTTPConnection(server.host, server.port, timeout=SECONDS)

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
    """So many connections, which are distributed to all workers in turn."""
    with ExitStack() as closing:
        made = [Connection(server) for _ in range(count)]
        for connection in made:
            closing.callback(connection.close)
            assert connection.ask("/v2/health/live")[0] == 200
        yield made


def children(server: ServerProcess) -> list[psutil.Process]:
    return psutil.Process(server.pid).children()


def connection_counts(server: ServerProcess) -> list[int]:
    """How many connections each worker has."""
    return [
        sum(connection.laddr.port == server.port for connection in child.net_connections("tcp"))
        for child in children(server)
    ]
