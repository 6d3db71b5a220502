"""The real process: hostile connections, and how it ends."""

import http.client
import os
import re
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
import pytest

from serve.engine.errors import ListenError
from serve.protocol.json_text import MAX_VALUES
from serve.workers.listener import format_url, listen
from tests.serve import models
from tests.serve.process import ServerProcess
from tests.serve.turns import TURNS, endless_request, send_turns, wait_until_running
from tests.waiting import until

MEBIBYTE = 2**20
ONES = orjson.dumps({"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 1, 1]}]})
SOME_TURNS = 600_000  # enough that its beginning is seen
INFER = "/v2/models/double/infer"


def _post(server: ServerProcess, path: str, body: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    connection.request("POST", path, body)
    response = connection.getresponse()
    answer = response.status, response.read()
    connection.close()
    return answer


def _still_answers(server: ServerProcess) -> bool:
    return _post(server, INFER, ONES)[0] == 200


def test_a_taken_port_is_an_error() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenError) as error:
            listen("127.0.0.1", port)
    assert str(error.value) == f"cannot listen on `127.0.0.1` port `{port}`: Address already in use"


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.1"])
def test_an_address_that_is_not_this_machines_is_an_error(host: str) -> None:
    with pytest.raises(ListenError, match=re.escape(f"cannot listen on `{host}`")):
        listen(host, 0)


def test_the_url_is_one_that_a_browser_takes() -> None:
    with listen("127.0.0.1", 0) as listener:
        assert format_url(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.slow
def test_an_announced_body_over_the_limit_is_refused_unread(server: ServerProcess) -> None:
    with socket.create_connection((server.host, server.port), timeout=60) as connection:
        connection.sendall(
            b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n" % INFER.encode()
        )
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")
    assert _still_answers(server)


def test_a_body_somewhat_over_the_limit_gets_an_answer(
    server: ServerProcess,
) -> None:
    status, text = _post(server, INFER, bytes(65 * MEBIBYTE))
    assert status == 413
    assert b"larger than the limit" in text


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc" % INFER.encode(),
        b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n" % INFER.encode(),
        b"POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n" % INFER.encode(),
    ],
    ids=["nonsense", "cut off", "negative length", "bad chunk"],
)
def test_broken_connections_harm_nobody_else(server: ServerProcess, sent: bytes) -> None:
    with socket.create_connection((server.host, server.port), timeout=60) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
    assert _still_answers(server)


@pytest.mark.parametrize("start", [b"GET /", b"GET /v2 HTTP/1.1\r\nx: ", b"GET /v2 HTTP/1.1\r\n"])
def test_headers_without_end_are_refused(server: ServerProcess, start: bytes) -> None:
    endless_request = b"x: y\r\n" * 20_000 if start.endswith(b"\n") else b"y" * 120_000
    with socket.create_connection((server.host, server.port), timeout=60) as connection:
        connection.sendall(start + endless_request)
        answer = connection.recv(1000)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b'{"error":"the headers are larger than the limit of' in answer
    assert _still_answers(server)


def test_requests_on_one_connection_have_a_head_each(server: ServerProcess) -> None:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    for _ in range(4):
        connection.request("POST", INFER, ONES, {"X-Long": "x" * 50_000})
        response = connection.getresponse()
        assert (response.status, bool(response.read())) == (200, True)
    connection.close()


@pytest.mark.parametrize(
    ("version", "hosts", "status"),
    [
        (b"1.1", (b"x",), 200),
        (b"1.0", (), 200),
        (b"1.0", (b"x",), 200),
        (b"1.1", (), 400),
        (b"1.1", (b"x", b"x"), 400),
        (b"1.1", (b"x", b"y"), 400),
        (b"1.0", (b"x", b"y"), 400),
    ],
)
def test_a_request_has_one_host(
    server: ServerProcess, version: bytes, hosts: Sequence[bytes], status: int
) -> None:
    head = b"GET /v2/health/live HTTP/%s\r\n" % version + b"".join(b"Host: %s\r\n" % host for host in hosts)
    with socket.create_connection((server.host, server.port), timeout=60) as connection:
        connection.sendall(head + b"Connection: close\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(1000), b""))
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert (b"expected one header `Host`" in answer) == (status == 400)


def test_what_is_not_http_is_answered_in_json(server: ServerProcess) -> None:
    with socket.create_connection((server.host, server.port), timeout=60) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        answer = connection.recv(1000)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request")
    assert answer.endswith(b'{"error":"Invalid HTTP request received."}')


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("small")
    models.put(folder, "double", models.model(models.DOUBLE))
    with ServerProcess("--models", str(folder)) as started:
        yield started


@pytest.mark.slow
@pytest.mark.parametrize(
    "body",
    [
        b"[" * (60 * MEBIBYTE),
        b'{"inputs":[' + b"[],NaN," * (8 * MEBIBYTE) + b"1]}",
        b'{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[' + b"1," * (30 * MEBIBYTE) + b"1]}]}",
        b'{"inputs":[{"name":"x","shape":[1],"datatype":"BYTES","data":['
        + b'"",' * (20 * MEBIBYTE)
        + b'""]}]}',
        b'{"inputs":[{"name":"' + b"x" * (60 * MEBIBYTE) + b'","shape":[1],"datatype":"FP32","data":[1]}]}',
        b'{"instances":[[' + b"1.5," * (MAX_VALUES - 4) + b"1]]}",
        b'{"inputs":[{"name":"x","shape":[' + b"1," * (2 * MEBIBYTE) + b'1],"datatype":"FP32","data":[1]}]}',
    ],
    ids=["nesting", "empty lists", "numbers", "strings", "name", "as many as allowed", "shape"],
)
@pytest.mark.parametrize("path", [INFER, "/v1/models/double:predict"])
def test_a_hostile_body_costs_a_few_times_its_size(small: ServerProcess, path: str, body: bytes) -> None:
    status, text = _post(small, path, body)
    assert status == 400
    assert len(text) < 1000
    assert small.resident_bytes() < 700 * MEBIBYTE
    assert _still_answers(small)


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A repository whose only model runs as long as it is asked to."""
    models.put(tmp_path, "turns", models.model(TURNS))
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_finishes_what_runs(slow: Path, number: signal.Signals) -> None:
    with ServerProcess("--models", str(slow)) as server, ThreadPoolExecutor(1) as pool:
        used = server.processor_seconds()
        answer = pool.submit(send_turns, server, SOME_TURNS)
        wait_until_running(server, used)
        assert server.stop(number) == 0
        assert answer.result()[0] == 200


@pytest.mark.slow
def test_a_stop_waits_no_longer_than_its_grace(slow: Path) -> None:
    arguments = ("--models", str(slow), "--stop-grace-seconds", "0")
    with ServerProcess(*arguments) as server, endless_request(server) as connection:
        assert server.stop() == 0
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert answer.endswith(b'{"error":"the server stopped before the answer was ready"}')


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "second", "workers"),
    [
        (signal.SIGTERM, signal.SIGTERM, 1),
        (signal.SIGINT, signal.SIGINT, 1),
        (signal.SIGINT, signal.SIGTERM, 1),
        (signal.SIGTERM, signal.SIGINT, 2),
    ],
)
def test_a_second_signal_ends_the_grace(
    slow: Path, first: signal.Signals, second: signal.Signals, workers: int
) -> None:
    limits = ("--stop-grace-seconds", "600", "--stop-linger-seconds", "600")
    arguments = ("--models", str(slow), "--workers", str(workers))
    with ServerProcess(*arguments, *limits) as server, endless_request(server) as connection:
        os.kill(server.pid, first)
        until(lambda: _get(server, "/v2/health/ready")[0] == 503)
        assert server.stop(second) == 0
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 503 ")


def _get(server: ServerProcess, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    connection.request(method, path)
    response = connection.getresponse()
    answer = response.status, dict(response.getheaders()), response.read()
    connection.close()
    return answer


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2", "/v2/models/double", "/metrics", "/nowhere"])
def test_head_is_answered_as_get_is_without_the_body(server: ServerProcess, path: str) -> None:
    status, headers, body = _get(server, path)
    assert body
    assert _get(server, path, "HEAD")[::2] == (status, b"")
    assert _get(server, path, "HEAD")[1].keys() == headers.keys()
    assert _get(server, INFER, "HEAD")[0] == 405


def _request(version: str, path: str = INFER) -> bytes:
    head = f"POST {path} HTTP/{version}\r\nHost: x\r\nContent-Length: {len(ONES)}\r\n\r\n"
    return head.encode() + ONES


def test_head_and_body_of_an_answer_come_in_one_piece(server: ServerProcess) -> None:
    with socket.create_connection((server.host, server.port), timeout=60) as connection:
        for _ in range(50):
            connection.sendall(_request("1.1"))
            answer = connection.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200 OK\r\ndate: ")
            head, _, body = answer.partition(b"\r\n\r\n")
            assert b"content-length: %d" % len(body) in head
            assert b"connection: close" not in head


def test_a_client_that_wants_no_more_is_answered_and_left(server: ServerProcess) -> None:
    with socket.create_connection((server.host, server.port), timeout=60) as connection:
        connection.sendall(_request("1.0"))
        whole = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b"\r\nconnection: close\r\n" in whole
    assert whole.endswith(b"}")


def test_a_client_that_waits_to_be_told_to_go_on_is_told(server: ServerProcess) -> None:
    head, body = _request("1.1").split(b"\r\n\r\n")
    with socket.create_connection((server.host, server.port), timeout=60) as connection:
        connection.sendall(head + b"\r\nExpect: 100-continue\r\n\r\n")
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.slow
def test_a_long_answer_arrives_whole(server: ServerProcess) -> None:
    rows = 300_000
    entry = {
        "name": "x",
        "shape": [rows, 3],
        "datatype": "FP32",
        "parameters": {"binary_data_size": rows * 12},
    }
    text = orjson.dumps({"inputs": [entry], "parameters": {"binary_data_output": True}})
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    headers = {"Inference-Header-Content-Length": str(len(text))}
    connection.request("POST", INFER, text + bytes(rows * 12), headers)
    time.sleep(0.2)  # the server's buffer is full by then
    response = connection.getresponse()
    whole = response.read()
    assert whole[int(response.headers["Inference-Header-Content-Length"]) :] == bytes(rows * 12)
    connection.close()
