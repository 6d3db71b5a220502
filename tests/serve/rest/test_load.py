"""More requests than can be run, clients that do not wait, and the end: one server, one run at a time."""

import http.client
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
import pytest

from tests.serve import models
from tests.serve.process import ServerProcess
from tests.serve.turns import TURNS, endless_request, send_turns
from tests.waiting import until


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("busy")
    models.put(folder, "turns", models.model(TURNS))
    options = ("--concurrency", "1", "--queue-length", "1", "--batching", "off")
    with ServerProcess("--models", str(folder), *options) as server:
        yield server


def _ready(server: ServerProcess) -> int:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    connection.request("GET", "/v2/health/ready")
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.slow
def test_a_full_queue_answers_503_with_retry_after(busy: ServerProcess) -> None:
    with ThreadPoolExecutor(8) as pool:
        with endless_request(busy):
            requests = [pool.submit(send_turns, busy, 0) for _ in range(8)]
            until(lambda: sum(request.done() for request in requests) == 7)
        replies = [request.result() for request in requests]
    assert sorted(status for status, _, _ in replies) == [200] + [503] * 7
    refused = next(reply for reply in replies if reply[0] == 503)
    assert int(refused[1]["Retry-After"]) >= 1
    assert "turns" in orjson.loads(refused[2])["error"]
    assert send_turns(busy, 0)[0] == 200


def test_one_that_waited_as_long_as_it_may_is_not_run(busy: ServerProcess) -> None:
    with endless_request(busy):
        status, _, text = send_turns(busy, 0, timeout=1000)
    assert status == 504
    assert "were over while it was waiting" in orjson.loads(text)["error"]
    assert send_turns(busy, 0, timeout=60_000_000)[0] == 200


def test_what_runs_for_a_client_that_went_away_ends(busy: ServerProcess) -> None:
    with endless_request(busy):
        pass
    assert send_turns(busy, 0)[0] == 200


def test_other_requests_are_answered_meanwhile(busy: ServerProcess) -> None:
    with endless_request(busy):
        assert _ready(busy) == 200


@pytest.mark.slow
def test_a_server_that_stops_answers_what_still_comes(tmp_path: Path) -> None:
    models.put(tmp_path, "turns", models.model(TURNS))
    arguments = (
        "--models",
        str(tmp_path),
        "--stop-grace-seconds",
        "600",
        "--stop-linger-seconds",
        "600",
        "--concurrency",
        "2",
    )
    with ServerProcess(*arguments) as server, ThreadPoolExecutor(1) as pool:
        with endless_request(server):
            ended = pool.submit(server.stop, signal.SIGTERM)
            until(lambda: _ready(server) == 503)
            status, headers, _ = send_turns(server, 0)
            assert (status, headers.get("connection")) == (200, "close")
            assert not ended.done()
        os.kill(server.pid, signal.SIGTERM)  # it need not linger for ten minutes
        assert ended.result() == 0
