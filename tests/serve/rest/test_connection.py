"""What clients send on a connection to the real process: requests at once, trailers, other protocols."""

import contextlib
import select
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import orjson
import pytest

from tests.serve import models
from tests.serve.process import ServerProcess
from tests.waiting import until

MEBIBYTE = 2**20
LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
CLOSING = LIVE.replace(b"Host", b"Connection: close\r\nHost")
TINY = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /v2/models/double/infer HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
UPGRADE = POST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
UNLOAD = b"POST /v2/repository/models/double/unload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"


def _body(name: str = "", rows: int = 1) -> bytes:
    entry = {"name": "x", "shape": [rows, 3], "datatype": "FP32", "data": [1] * (3 * rows)}
    return orjson.dumps({"id": name, "inputs": [entry]})


def _length(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n" % len(body)


def _chunks(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n0\r\n" % (len(body), body)


@contextmanager
def _connected(server: ServerProcess) -> Iterator[socket.socket]:
    with socket.create_connection((server.host, server.port), timeout=60) as connection:
        yield connection


def _received(connection: socket.socket, answers: int) -> bytes:
    """What came once so many answers have begun, and the last has a body; or the connection ended."""
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while got.count(b"HTTP/1.1 ") < answers or not got.endswith(b"}"):
            received = connection.recv(65536)
            if not received:
                break
            got += received
    return got


def _statuses(answers: bytes) -> list[int]:
    return [int(part[:3]) for part in answers.split(b"HTTP/1.1 ")[1:]]


def _answered(server: ServerProcess, *sent: bytes) -> list[int]:
    """The statuses of what is answered until the server closes the connection."""
    with _connected(server) as connection:
        for part in sent:
            connection.sendall(part)
            time.sleep(0.05 * (len(sent) > 1))  # so that it comes in a packet of its own
        return _statuses(_received(connection, 1000))


def test_trailers_are_no_headers_of_this_request_or_the_next(server: ServerProcess) -> None:
    trailers = b"X-Request-Id: trailed\r\nAccept-Encoding: gzip\r\n\r\n"
    with _connected(server) as connection:
        connection.sendall(CHUNKED + _chunks(_body(rows=500)) + trailers)
        first = _received(connection, 1)
        connection.sendall(LIVE)
        second = _received(connection, 1)
    assert (_statuses(first), _statuses(second)) == ([200], [200])
    assert b"trailed" not in first + second
    assert b"content-encoding" not in first


@pytest.mark.parametrize("body", [b"", _body()], ids=["before the body", "behind the body"])
@pytest.mark.parametrize("repeated", [b"a: b\r\n", b"x" * 1000], ids=["many", "one long"])
def test_trailers_without_end_are_refused(server: ServerProcess, body: bytes, repeated: bytes) -> None:
    start = _chunks(body) if body else b"1;"  # a chunk's extension has no end of its own either
    with _connected(server) as connection:
        connection.sendall(CHUNKED + start)
        time.sleep(0.05)
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                connection.sendall(repeated * (70_000 // len(repeated)))
        answer = _received(connection, 1)
    assert not answer or _statuses(answer) in ([431], [400])
    assert _answered(server, CLOSING) == [200]


@pytest.mark.parametrize("trailer", [b"a: b\r\n" * 300, b"a: " + b"b" * 66_000])
def test_trailers_are_bounded_as_headers_are(server: ServerProcess, trailer: bytes) -> None:
    with _connected(server) as connection:
        connection.sendall(CHUNKED + _chunks(_body()))
        time.sleep(0.05)
        connection.sendall(trailer)
        assert _statuses(_received(connection, 1)) == [431]


@pytest.mark.parametrize("packets", [1, 2])
@pytest.mark.parametrize("coding", ["length", "chunks"])
def test_an_upgrade_that_is_offered_changes_nothing(server: ServerProcess, packets: int, coding: str) -> None:
    body = _body("first", rows=2000)
    head = UPGRADE + _length(body)
    if coding == "chunks":
        head, body = UPGRADE + b"Transfer-Encoding: chunked\r\n\r\n", _chunks(body) + b"\r\n"
    sent = (head + body + CLOSING,) if packets == 1 else (head, body + CLOSING)
    assert _answered(server, *sent) == [200, 200]


@pytest.mark.parametrize("upgrade", [b"websocket", b"h2c", b"nonsense"])
def test_a_body_behind_an_upgrade_is_no_request(server: ServerProcess, upgrade: bytes) -> None:
    head = UPGRADE.replace(b"h2c", upgrade) + _length(UNLOAD)
    assert _answered(server, head, UNLOAD, CLOSING) == [400, 200]
    get = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: %s\r\n\r\n" % upgrade
    assert _answered(server, get + CLOSING) == [200, 200]


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_curl_that_would_rather_speak_http2_is_answered(server: ServerProcess) -> None:
    url = f"{server.url}/v2/models/double/infer"
    command = ["curl", "--http2", "-s", "-w", " %{http_code}", "-d", _body().decode(), url]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert '"data":[2.0,2.0,2.0]' in answer
    assert answer.endswith(" 200")


def test_connect_is_refused_and_what_follows_is_no_request(server: ServerProcess) -> None:
    assert _answered(server, LIVE + b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n" + UNLOAD) == [200, 501]
    assert _answered(server, b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", UNLOAD) == [501]


@pytest.mark.parametrize(
    ("broken", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET http://[ HTTP/1.1\r\n\r\n", 400),
        (CHUNKED + b"ZZ\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 300 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 100_000, 431),
    ],
    ids=["nonsense", "no URL", "bad chunk", "many headers", "long header"],
)
def test_requests_before_a_broken_one_are_answered_first(
    server: ServerProcess, broken: bytes, status: int
) -> None:
    request = POST + _length(_body()) + _body()
    assert _answered(server, request * 2 + broken) == [200, 200, status]


@pytest.mark.slow
def test_more_requests_than_are_read_ahead_stay_in_order(server: ServerProcess) -> None:
    names = [str(number) for number in range(2000)]
    # Some are longer than a piece, and with a chunked body nobody knows where they end.
    bodies = [_body(name, rows=1000 if int(name) % 50 == 7 else 1) for name in names]
    requests = [POST + _length(body) + body for body in bodies]
    requests[::40] = [CHUNKED + _chunks(body) + b"\r\n" for body in bodies[::40]]
    with _connected(server) as connection:
        sending = threading.Thread(target=connection.sendall, args=(b"".join(requests),))
        sending.start()
        got = b""
        while got.count(b'"id":"') < len(names):
            received = connection.recv(2**20)
            assert received
            got += received
        sending.join()
    assert [part.split(b'"')[0].decode() for part in got.split(b'"id":"')[1:]] == names


@pytest.mark.slow
def test_requests_at_once_without_number_are_left_to_the_client(server: ServerProcess) -> None:
    before, got = server.resident_bytes(), 0
    with _connected(server) as connection:
        connection.settimeout(1)
        with contextlib.suppress(TimeoutError):
            connection.sendall(TINY * (4 * MEBIBYTE // len(TINY)))
        connection.settimeout(60)
        while got < 200:
            got += connection.recv(65536).count(b"HTTP/1.1 404")
        assert server.resident_bytes() < before + 20 * MEBIBYTE


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server whose bodies have a MiB each, and 16 together."""
    folder = tmp_path_factory.mktemp("narrow")
    models.put(folder, "double", models.model(models.DOUBLE))
    with ServerProcess("--models", str(folder), "--body-limit-mib", "1") as started:
        yield started


def _almost_sent(server: ServerProcess, opened: contextlib.ExitStack, count: int) -> list[socket.socket]:
    """So many connections whose body, of a MiB, lacks its last byte, or is refused."""
    body = _body().rjust(MEBIBYTE)
    connections = [opened.enter_context(_connected(server)) for _ in range(count)]
    for connection in connections:
        connection.sendall(POST + _length(body) + body[:-1])
    return connections


@pytest.mark.slow
def test_bodies_beyond_the_common_limit_are_refused(narrow: ServerProcess) -> None:
    with contextlib.ExitStack() as opened:
        connections = _almost_sent(narrow, opened, 20)
        until(lambda: len(select.select(connections, [], [], 0)[0]) >= 4)
        with _connected(narrow) as another:
            assert _answers_small(another)
        for connection in connections:
            connection.sendall(b"}")
        answers = [_received(connection, 1) for connection in connections]
        refused = [answer for answer in answers if _statuses(answer) == [503]]
        assert 4 <= len(refused) <= 20
        assert {status for answer in answers for status in _statuses(answer)} <= {200, 503}
        assert all(b"\r\nretry-after: 1\r\n" in answer for answer in refused)
        assert all(b"all bodies together are more than `16777216` bytes" in answer for answer in refused)
        # Those that were refused, those that were answered, and those that go away.
        for connection in connections:
            assert _answers_small(connection)
    with contextlib.ExitStack() as opened:
        _almost_sent(narrow, opened, 16)
    until(lambda: _sixteen_are_answered(narrow))


def _answers_small(connection: socket.socket) -> bool:
    connection.sendall(POST + _length(_body()) + _body())
    return _statuses(_received(connection, 1)) == [200]


def _sixteen_are_answered(server: ServerProcess) -> bool:
    with contextlib.ExitStack() as opened:
        connections = _almost_sent(server, opened, 16)
        for connection in connections:
            connection.sendall(b"}")
        return all(_statuses(_received(connection, 1)) == [200] for connection in connections)
