"""Clients that keep connections without using them, on raw sockets to the real process with short limits."""

import contextlib
import http.client
import json
import select
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
import psutil
import pytest

from serve.rest.http import ANSWERED_SURPLUS
from tests.serve import models
from tests.serve.process import ServerProcess
from tests.serve.turns import TURNS, endless_request
from tests.waiting import until

STALL_SECONDS = 1.0
# The server looks once a second; a busy machine may take longer, and a stall that is not seen lasts for ever.
SOON_SECONDS = 15 * STALL_SECONDS
CONNECTIONS = 20
PREDICT = b"POST /v1/models/double:predict HTTP/1.1\r\nHost: x\r\n"
BODY = b'{"instances": [[1, 2, 3]]}'
LENGTH = b"Content-Length: %d\r\n\r\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models")
    models.put(made, "double", models.model(models.DOUBLE))
    models.put(made, "turns", models.model(TURNS))
    return made


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "access.jsonl"


@pytest.fixture(scope="module")
def strict(folder: Path, log: Path) -> Iterator[ServerProcess]:
    """A server that soon takes a client for one that stalls."""
    limits = ("--stall-seconds", str(STALL_SECONDS), "--access-log", str(log))
    with ServerProcess("--models", str(folder), *limits) as started:
        yield started


@pytest.fixture(scope="module")
def patient(folder: Path) -> Iterator[ServerProcess]:
    """A server that takes nobody for one that stalls as long as these tests take."""
    limits = ("--stall-seconds", "600", "--connections", str(CONNECTIONS))
    with ServerProcess("--models", str(folder), *limits) as started:
        yield started


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    for name in {"strict", "patient"} & set(request.fixturenames):
        _require_alone(request.getfixturevalue(name))


def _require_alone(server: ServerProcess) -> None:
    until(lambda: not _open_connections(server))
    assert _answered(server) == 200


def _open_connections(server: ServerProcess) -> int:
    connections = server.worker.net_connections("tcp")
    return sum(connection.status != psutil.CONN_LISTEN for connection in connections)


def _answered(server: ServerProcess) -> int:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    connection.request("POST", "/v1/models/double:predict", BODY, {"Connection": "close"})
    status = connection.getresponse().status
    connection.close()
    return status


@contextlib.contextmanager
def _connected(server: ServerProcess) -> Iterator[socket.socket]:
    with socket.create_connection((server.host, server.port), timeout=60) as connection:
        yield connection


def _rest(connection: socket.socket) -> bytes:
    """All that comes until the server ends the connection, be it with a reset."""
    pieces: list[bytes] = []
    with contextlib.suppress(ConnectionResetError):
        pieces.extend(iter(lambda: connection.recv(65536), b""))
    return b"".join(pieces)


def _trickle(connection: socket.socket, every: float) -> float:
    """Send a byte now and then until the server has ended the connection; how long that took."""
    began = time.monotonic()
    connection.settimeout(every)
    while time.monotonic() - began < 2 * SOON_SECONDS:
        try:
            connection.sendall(b"x")
            if connection.recv(1000, socket.MSG_PEEK) is not None:
                break
        except TimeoutError:
            continue
        except OSError:
            break
    connection.settimeout(60)
    return time.monotonic() - began


@pytest.mark.slow
def test_heads_that_do_not_end_are_refused_however_they_trickle(strict: ServerProcess) -> None:
    starts = (b"GET /", b"GET / HTTP/1.1\r\nHost: x\r\n", PREDICT + b"X: ")
    with ThreadPoolExecutor(len(starts)) as pool:
        for answer, seconds in pool.map(lambda start: _trickled(strict, start), starts):
            assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
            assert seconds < SOON_SECONDS


def _trickled(server: ServerProcess, start: bytes) -> tuple[bytes, float]:
    with _connected(server) as connection:
        connection.sendall(start)
        seconds = _trickle(connection, 0.2)
        return _rest(connection), seconds


def test_a_client_that_still_sends_is_not_reset_by_its_last_answer(patient: ServerProcess) -> None:
    with _connected(patient) as connection:
        connection.sendall(b"no request\r\n\r\n")
        until(lambda: connection.recv(1000, socket.MSG_PEEK).endswith(b"}"))
        for _ in range(20):
            connection.sendall(b"x" * 1000)
            time.sleep(0.01)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.slow
def test_a_client_that_sends_on_behind_its_last_answer_is_cut_off(strict: ServerProcess) -> None:
    with _connected(strict) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(b"no request\r\n\r\n")
        began = time.monotonic()
        while time.monotonic() - began < SOON_SECONDS:
            connection.sendall(b"x")
            time.sleep(0.05)
        pytest.fail("the connection is still open")


@pytest.mark.slow
def test_a_connection_that_asks_nothing_is_closed(strict: ServerProcess) -> None:
    began = time.monotonic()
    with _connected(strict) as connection:
        assert _rest(connection) == b""
    assert time.monotonic() - began < SOON_SECONDS


@pytest.mark.slow
@pytest.mark.parametrize("path", [b"/v1/models/double:predict", b"/v2/repository/models/double/load"])
def test_bodies_that_stall_or_trickle_are_refused(strict: ServerProcess, path: bytes) -> None:
    chunked = b"Transfer-Encoding: chunked\r\n\r\n"
    starts = (LENGTH % 1000 + b"{", chunked, chunked + b"3e8\r\n{")
    with contextlib.ExitStack() as opened:
        connections = [opened.enter_context(_connected(strict)) for _ in starts]
        for connection, start in zip(connections, starts, strict=True):
            connection.sendall(b"POST " + path + b" HTTP/1.1\r\nHost: x\r\n" + start)
        _, seconds = _trickled(strict, PREDICT + LENGTH % 100_000)
        assert seconds < SOON_SECONDS
        for connection in connections:
            answer = _rest(connection)
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert answer.endswith(b'{"error":"the request\'s body stalled for `1` seconds"}')


@pytest.mark.slow
def test_a_stalled_body_is_counted_and_logged_as_answered(strict: ServerProcess, log: Path) -> None:
    with _connected(strict) as connection:
        connection.sendall(PREDICT + b"X-Request-Id: stalls\r\n" + LENGTH % 1000 + b"{")
        assert _rest(connection).startswith(b"HTTP/1.1 408 ")
    lines = map(json.loads, log.read_text().splitlines())
    assert [line["status"] for line in lines if line["request_id"] == "stalls"] == [408]
    assert b'requests_total{code="408",model="double",version="1"}' in _metrics(strict)


def _metrics(server: ServerProcess) -> bytes:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    connection.request("GET", "/metrics", headers={"Connection": "close"})
    text = connection.getresponse().read()
    connection.close()
    return text


@pytest.mark.slow
def test_a_head_that_stalls_waits_for_the_answer_before(strict: ServerProcess) -> None:
    with endless_request(strict) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        time.sleep(3 * STALL_SECONDS)
        assert not _has_news(connection)


@pytest.mark.slow
def test_a_body_that_goes_on_may_take_longer_than_a_stall(strict: ServerProcess) -> None:
    body = BODY.rjust(20_000)
    with _connected(strict) as connection:
        connection.sendall(PREDICT + LENGTH % len(body))
        for start in range(0, len(body), 2000):
            connection.sendall(body[start : start + 2000])
            time.sleep(0.25)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.slow
def test_a_body_that_goes_on_after_its_refusal_is_cut_off(strict: ServerProcess) -> None:
    with _connected(strict) as connection:
        connection.sendall(PREDICT + LENGTH % 10**12)
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - began < SOON_SECONDS:
                connection.sendall(bytes(1000))
                time.sleep(0.02)
        assert time.monotonic() - began < SOON_SECONDS


@pytest.mark.slow
@pytest.mark.parametrize("closing", [b"", b"Connection: close\r\n"], ids=["kept", "closed"])
def test_an_answer_that_nobody_reads_is_thrown_away(strict: ServerProcess, closing: bytes) -> None:
    body = bytes(3 * 4 * 2**20)  # more than the buffers of both ends of the connection
    sizes = {"binary_data_size": len(body)}
    entry = {"name": "x", "shape": [len(body) // 12, 3], "datatype": "FP32", "parameters": sizes}
    text = orjson.dumps({"inputs": [entry], "parameters": {"binary_data_output": True}})
    head = b"POST /v2/models/double/infer HTTP/1.1\r\nHost: x\r\nInference-Header-Content-Length: %d\r\n"
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((strict.host, strict.port))
        connection.sendall(head % len(text) + closing + LENGTH % (len(text) + len(body)) + text + body)
        until(lambda: not _open_connections(strict))


@pytest.mark.slow
def test_a_run_that_takes_long_is_no_stall(strict: ServerProcess) -> None:
    with endless_request(strict) as connection:
        time.sleep(3 * STALL_SECONDS)
        assert not _has_news(connection)


@pytest.mark.slow
@pytest.mark.parametrize("sent", [b"", b"POST /v1", PREDICT + LENGTH % 1000 + b"{"])
def test_a_client_that_closes_its_half_is_gone(patient: ServerProcess, sent: bytes) -> None:
    with _connected(patient) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        _rest(connection)


def test_what_runs_for_a_client_that_closed_its_half_is_ended(patient: ServerProcess) -> None:
    with endless_request(patient) as connection:
        connection.shutdown(socket.SHUT_WR)
        _rest(connection)
        until(lambda: _is_idle(patient))


@pytest.mark.slow
@pytest.mark.parametrize("behind", [PREDICT + LENGTH % len(BODY) + BODY, PREDICT + LENGTH % 99_999 + b"{"])
def test_a_gone_clients_run_ends_despite_pipelined_requests(patient: ServerProcess, behind: bytes) -> None:
    with endless_request(patient) as connection:
        connection.sendall(behind * 3)
        time.sleep(0.1)
    until(lambda: _is_idle(patient))
    metrics = _metrics(patient)
    assert b'requests_total{code="499",model="turns",version="1"}' in metrics
    assert b'requests_total{code="200",model="turns",version="1"}' not in metrics


def _is_idle(server: ServerProcess) -> bool:
    used = server.processor_seconds()
    time.sleep(0.3)
    return server.processor_seconds() - used < 0.05


def test_surplus_connections_are_refused_and_others_stay(patient: ServerProcess) -> None:
    with contextlib.ExitStack() as opened:
        first = [opened.enter_context(_connected(patient)) for _ in range(CONNECTIONS)]
        with _connected(patient) as surplus:
            surplus.sendall(PREDICT + LENGTH % len(BODY) + BODY)
            answer = _rest(surplus)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: 1\r\n" in answer
        assert b"as many connections as it takes" in answer
        for connection in first:
            connection.sendall(PREDICT + LENGTH % len(BODY) + BODY)
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.slow
def test_connections_without_number_are_cut_off(patient: ServerProcess) -> None:
    answered = CONNECTIONS + ANSWERED_SURPLUS
    with contextlib.ExitStack() as opened:
        many = [opened.enter_context(_connected(patient)) for _ in range(300)]
        until(lambda: sum(map(_has_news, many)) == 300 - answered)
        assert _open_connections(patient) == answered


def _has_news(connection: socket.socket) -> bool:
    """Whether the server has sent something, or ended the connection."""
    return connection in select.select([connection], [], [], 0)[0]
