"""More requests than can be run, clients that do not wait, and the end: one server, one run at a time."""

import http.client
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPMessage
from pathlib import Path

import orjson
import pytest

from tests.serve import models
from tests.serve.process import ServerProcess

# Runs as long as its input says, so that it is loaded at once.
TURNS = """turns (int64[N] x) => (float[1] y) {
    first = Constant<value = int64[1] {0}>()
    turns = Gather(x, first)
    shape = Constant<value = int64[0] {}>()
    scalar = Reshape(turns, shape)
    go_on = Constant<value = bool {1}>()
    start = Constant<value = float[1] {0.5}>()
    y = Loop(scalar, go_on, start) <body = turn (int64 i, bool go, float[1] v) => (bool going, float[1] w) {
        going = Identity(go)
        w = Sin(v)
    }>
}"""
SHORT, LONG, ENDLESS = 5_000, 400_000, 200_000_000  # some 4 ms, 0.3 s, and minutes
Reply = tuple[int, HTTPMessage, bytes]


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("busy")
    models.put(folder, "turns", models.model(TURNS))
    options = ("--concurrency", "1", "--queue-length", "1", "--batching", "off")
    with ServerProcess("--models", str(folder), *options) as server:
        for _ in range(20):  # until it is known to be too slow for the event loop
            assert _ask(server, SHORT)[0] == 200
        yield server


def _body(turns: int, timeout: int) -> bytes:
    entry = {"name": "x", "shape": [1], "datatype": "INT64", "data": [turns]}
    return orjson.dumps({"inputs": [entry], "parameters": {"timeout": timeout}})


def _ask(server: ServerProcess, turns: int, timeout: int = 0) -> Reply:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    try:
        connection.request("POST", "/v2/models/turns/infer", _body(turns, timeout))
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def test_those_that_the_queue_has_no_room_for_are_told_when_to_come_again(busy: ServerProcess) -> None:
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: _ask(busy, LONG), range(8)))
    assert {status for status, _, _ in replies} == {200, 503}
    refused = next(reply for reply in replies if reply[0] == 503)
    assert int(refused[1]["Retry-After"]) >= 1
    assert "turns" in orjson.loads(refused[2])["error"]
    assert _ask(busy, SHORT)[0] == 200


def test_one_that_waited_as_long_as_it_may_is_not_run(busy: ServerProcess) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(_ask, busy, LONG)
        time.sleep(0.1)
        status, _, text = _ask(busy, LONG, timeout=1000)
        assert status == 504, text
        assert running.result()[0] == 200
    assert _ask(busy, SHORT, timeout=30_000_000)[0] == 200


def test_what_runs_for_a_client_that_went_away_ends(busy: ServerProcess) -> None:
    body = _body(ENDLESS, 0)
    with socket.create_connection((busy.host, busy.port), timeout=10) as connection:
        head = b"POST /v2/models/turns/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
        connection.sendall(head + body)
        time.sleep(0.2)
    start = time.monotonic()
    assert _ask(busy, SHORT)[0] == 200
    assert time.monotonic() - start < 20


def test_other_requests_are_answered_meanwhile(busy: ServerProcess) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(_ask, busy, LONG)
        time.sleep(0.05)
        connection = http.client.HTTPConnection(busy.host, busy.port, timeout=10)
        connection.request("GET", "/v2/health/ready")
        assert connection.getresponse().status == 200
        assert not running.done()
        connection.close()


def test_a_server_that_is_about_to_end_says_so_and_takes_nothing_new(tmp_path: Path) -> None:
    models.put(tmp_path, "turns", models.model(TURNS))
    with ServerProcess("--models", str(tmp_path), "--concurrency", "1") as server:
        for _ in range(20):
            _ask(server, SHORT)
        with ThreadPoolExecutor(2) as pool:
            running = pool.submit(_ask, server, 4 * LONG)
            time.sleep(0.1)
            ended = pool.submit(server.stop, signal.SIGTERM)
            time.sleep(0.4)
            status, _, text = _ask(server, SHORT)
            assert (status, "about to end" in orjson.loads(text)["error"]) == (503, True)
            connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
            connection.request("GET", "/v2/health/ready")
            assert connection.getresponse().status == 503
            connection.close()
            assert running.result()[0] == 200
            assert ended.result() == 0
