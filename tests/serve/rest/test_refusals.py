"""Requests that are refused for their heads alone, on raw sockets to a server whose queue is full."""

import contextlib
import json
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve.access.keys import format_key
from serve.rest.connection import DROPPED_BYTES
from serve.rest.pacing import FIRST_SECONDS, MAX_SECONDS
from tests.serve import models
from tests.serve.process import ServerProcess
from tests.serve.turns import ENDLESS, INFER, TURNS, make_body, wait_until_running
from tests.waiting import until

SECRET = "0123456789abcdef0123456789abcdef"
POST = f"POST {INFER} HTTP/1.1\r\nHost: x\r\n".encode()
BODY = make_body(0)
LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
LONG = POST + b"Content-Length: %d\r\n\r\n" % (2 * DROPPED_BYTES)
KEY = b"Authorization: Bearer %s\r\n" % SECRET.encode()


def _request(body: bytes) -> bytes:
    return POST + KEY + b"Content-Length: %d\r\n\r\n" % len(body) + body


REQUEST = _request(BODY)


@contextlib.contextmanager
def _full(server: ServerProcess) -> Iterator[None]:
    """One request runs and one waits, which is all that there may be."""
    used = server.processor_seconds()
    with _connected(server) as running, _connected(server) as waiting:
        running.sendall(_request(make_body(ENDLESS)))
        wait_until_running(server, used)
        waiting.sendall(_request(BODY))
        until(lambda: _is_refused(server))
        yield


def _is_refused(server: ServerProcess) -> bool:
    with _connected(server) as connection:
        connection.sendall(POST + KEY + b"Content-Length: 1\r\nConnection: close\r\n\r\n")
        return bool(select.select([connection], [], [], 0.2)[0]) and b" 503 " in connection.recv(100)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("busy")
    models.put(made, "turns", models.model(TURNS))
    return made


OPTIONS = ("--concurrency", "1", "--queue-length", "1", "--batching", "off", "--stall-seconds", "600")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "access.jsonl"


@pytest.fixture(scope="module")
def full(folder: Path, log: Path) -> Iterator[ServerProcess]:
    """A server that answers inference with nothing but refusals."""
    with ServerProcess("--models", str(folder), *OPTIONS, "--access-log", str(log)) as server, _full(server):
        yield server


@contextlib.contextmanager
def _connected(server: ServerProcess) -> Iterator[socket.socket]:
    with socket.create_connection((server.host, server.port), timeout=60) as connection:
        yield connection


def _received(connection: socket.socket, answers: int = 1) -> bytes:
    """What came once so many answers have begun and the last is whole, or the connection ended."""
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while got.count(b"HTTP/1.1 ") < answers or not got.endswith((b"}", b"\r\n\r\n")):
            received = connection.recv(65536)
            if not received:
                break
            got += received
    return got


def _statuses(answers: bytes) -> list[int]:
    return [int(part[:3]) for part in answers.split(b"HTTP/1.1 ")[1:]]


def test_a_request_is_refused_before_its_body_comes(full: ServerProcess) -> None:
    with _connected(full) as connection:
        connection.sendall(POST + b"X-Request-Id: mine\r\nContent-Length: %d\r\n\r\n" % len(BODY))
        head, _, text = _received(connection).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"\r\nretry-after: 1" in head
        assert b"\r\nx-request-id: mine" in head
        assert b"connection: close" not in head
        assert json.loads(text)["error"].startswith("model `turns` version `1` has 1 requests waiting")
        connection.sendall(BODY[:7])
        connection.sendall(BODY[7:] + LIVE)
        assert _statuses(_received(connection)) == [200]


def test_what_follows_a_refused_body_is_answered_in_turn(full: ServerProcess) -> None:
    with _connected(full) as connection:
        connection.sendall(CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY) + LIVE + REQUEST + LIVE)
        assert _statuses(_received(connection, 4)) == [503, 200, 503, 200]


@pytest.mark.parametrize("start", [CHUNKED, LONG])
def test_behind_a_body_without_bound_the_connection_closes(full: ServerProcess, start: bytes) -> None:
    piece = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    with _connected(full) as connection:
        connection.sendall(start)
        assert b"\r\nconnection: close\r\n" in _received(connection)
        with pytest.raises(ConnectionError):
            connection.sendall(piece * (100 * DROPPED_BYTES // len(piece)))


def test_a_body_without_bound_that_ends_soon_closes_the_connection(full: ServerProcess) -> None:
    with _connected(full) as connection:
        connection.sendall(CHUNKED)
        answer = _received(connection)
        connection.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY))
        assert connection.recv(1) == b""
    assert _statuses(answer) == [503]


def test_a_body_that_waits_for_permission_is_not_asked_for(full: ServerProcess) -> None:
    with _connected(full) as connection:
        connection.sendall(POST + b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(BODY))
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert _statuses(answer) == [503]
    assert b"\r\nconnection: close\r\n" in answer


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (POST.replace(b"turns", b"nope"), 404),
        (POST.replace(b"Host: x\r\n", b""), 400),
        (POST.replace(b"Host: x\r\n", b"Host: x\r\nHost: y\r\n"), 400),
        (POST.replace(b"POST", b"GET"), 405),
        (POST.replace(b"/infer", b"/nowhere"), 404),
    ],
)
def test_other_errors_are_answered_as_ever(full: ServerProcess, head: bytes, status: int) -> None:
    with _connected(full) as connection:
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY)
        assert _statuses(_received(connection)) == [status]


@pytest.mark.slow
def test_who_repeats_at_once_is_refused_late_and_nobody_else_waits(full: ServerProcess) -> None:
    with _connected(full) as connection, _connected(full) as other:
        began = time.monotonic()
        for _ in range(4):
            connection.sendall(REQUEST)
            assert _statuses(_received(connection)) == [503]
        assert time.monotonic() - began > 5 * FIRST_SECONDS + MAX_SECONDS * 0.9
        connection.sendall(REQUEST)  # this one waits for its refusal
        other.sendall(LIVE + REQUEST)
        assert _statuses(_received(other, 2)) == [200, 503]
        connection.sendall(LIVE)
        assert _statuses(_received(connection, 2)) == [503, 200]


def test_clients_that_go_away_before_their_late_refusals_leave_nothing(full: ServerProcess) -> None:
    for _ in range(3):
        with _connected(full) as connection:
            connection.sendall(REQUEST)
            _received(connection)
            connection.sendall(REQUEST + LIVE)
    with _connected(full) as connection:
        connection.sendall(LIVE)
        assert _statuses(_received(connection)) == [200]


def test_refusals_are_counted_and_logged(full: ServerProcess, log: Path) -> None:
    with _connected(full) as connection:
        connection.sendall(POST + b"X-Request-Id: counted\r\nContent-Length: 0\r\n\r\n")
        _received(connection)
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        metrics = b"".join(iter(lambda: connection.recv(65536), b""))
    for series in (b'{code="503",model="turns",version="1"} ', b'reason="queue_full"} '):
        assert float(metrics.partition(series)[2].split()[0]) >= 1
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    [line] = [line for line in lines if line["request_id"] == "counted"]
    assert (line["status"], line["path"], line["caller"]) == (503, INFER, "127.0.0.1")


@pytest.fixture(scope="module")
def guarded(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    keys = tmp_path_factory.mktemp("keys") / "keys.toml"
    viewer = format_key("viewer", "f" * 32, frozenset({"metrics"}))
    keys.write_text(format_key("press", SECRET, frozenset({"infer"})) + viewer)
    with ServerProcess("--models", str(folder), *OPTIONS, "--keys", str(keys)) as server:
        yield server


@pytest.mark.slow
def test_who_may_not_ask_learns_that_first(guarded: ServerProcess) -> None:
    viewer = KEY.replace(SECRET.encode(), b"f" * 32)
    with _full(guarded):
        for key, status in ((b"", 401), (viewer, 403), (KEY, 503)):
            with _connected(guarded) as connection:
                connection.sendall(POST + key + b"Content-Length: 5\r\n\r\n")
                assert _statuses(_received(connection)) == [status]
