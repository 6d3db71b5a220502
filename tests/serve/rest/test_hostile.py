"""Requests that servers die of: each is refused with its reason, and the next one is answered."""

import contextlib
import gzip
import http.client
import json
import socket
import zlib
from collections.abc import Iterator, Mapping

import numpy as np
import orjson
import pytest

from serve.protocol.compression import FREE_BYTES
from serve.protocol.json_text import MAX_VALUES
from tests.serve.process import ServerProcess
from tests.waiting import until

INFER = "/v2/models/add_sub/infer"
INDEX = "/v2/repository/index"
JSON_BYTES = "Inference-Header-Content-Length"
ROW = np.arange(4, dtype=np.int32)
INPUT = {"name": "INPUT0", "shape": [1, 4], "datatype": "INT32", "data": [0, 1, 2, 3]}
GOOD = {"inputs": [INPUT, INPUT | {"name": "INPUT1"}]}
DEEP = 200_000


def _post(
    server: ServerProcess, path: str, body: bytes, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    try:
        connection.request("POST", path, body, dict(headers or {}))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@pytest.fixture(autouse=True)
def _the_server_is_alive_and_right_after(server: ServerProcess) -> Iterator[None]:
    yield
    status, text = _post(server, INFER, orjson.dumps(GOOD))
    assert status == 200
    assert orjson.loads(text)["outputs"][0]["data"] == [0, 2, 4, 6]
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    connection.request("GET", "/v2/health/live")
    assert connection.getresponse().status == 200
    connection.close()


def _refused(answer: tuple[int, bytes], status: int = 400) -> str:
    assert answer[0] == status, answer
    assert len(answer[1]) < 1000
    return str(orjson.loads(answer[1])["error"])


def _changed(**change: object) -> bytes:
    # Not by orjson, which writes no number beyond 64 bits.
    return json.dumps({"inputs": [INPUT | change, INPUT | {"name": "INPUT1"}]}).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"[" * DEEP,
        b"[" * DEEP + b"]" * DEEP,
        b'{"a":' * DEEP + b"1" + b"}" * DEEP,
        b'{"inputs":' + b"[" * DEEP + b"]" * DEEP + b"}",
        b'{"id":"x","inputs":[],"extra":' + b"[" * DEEP + b"NaN" + b"]" * DEEP + b"}",
    ],
    ids=["open", "closed", "objects", "inputs", "with NaN"],
)
@pytest.mark.parametrize("path", [INFER, INDEX, "/v2/repository/models/add_sub/load", "/v2/logging"])
def test_json_of_any_depth_is_refused(server: ServerProcess, path: str, body: bytes) -> None:
    # The objects are more than what anything but inference may send.
    _refused(_post(server, path, body), 413 if len(body) > 2**20 and path != INFER else 400)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": [2**4, 2**60 + 2]}, "values, got `4`"),
        ({"shape": [2**62, 2**62, 2**62]}, "values, got `4`"),
        ({"shape": [2**64, 4]}, "`shape` is not a list of sizes"),
        ({"shape": [-1, 4]}, "`shape` is not a list of sizes"),
        ({"shape": [1, -4]}, "`shape` is not a list of sizes"),
        ({"shape": [-1, -4]}, "`shape` is not a list of sizes"),
        ({"shape": [1.5]}, "`shape` is not a list of sizes"),
        ({"shape": "1,4"}, "`shape` is not a list of sizes"),
        ({"shape": []}, "takes `1` values, got `4`"),
        ({"shape": [1] * 40 + [4]}, "at most `32`"),
        ({"shape": [0, 2**60], "data": []}, "too large for an empty tensor"),
        ({"data": [1, 2, 3]}, "takes `4` values, got `3`"),
        ({"data": [1, 2, 3, 2**31]}, "holds a value that is not a `INT32`"),
        ({"data": [1, 2, 3, "4"]}, "holds a value that is not a `INT32`"),
        ({"data": None}, "neither `data` nor"),
        ({"datatype": "INT"}, "is not a `datatype`"),
        ({"name": "INPUT1"}, "input `INPUT1` already exists in the request"),
        ({"name": "x" * 100_000}, "input `INPUT0` is missing"),
        ({"parameters": {"binary_data_size": 2**64}}, "both `data` and"),
        ({"parameters": {"shared_memory_region": "r"}}, "`shared_memory_byte_size` is `None`"),
    ],
)
def test_tensors_that_lie_are_refused(server: ServerProcess, change: dict[str, object], message: str) -> None:
    answer = _post(server, INFER, _changed(**change))
    assert message in _refused(answer, 400)


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ([{"name": "OUTPUT0"}, {"name": "OUTPUT0"}], "output `OUTPUT0` already exists in the request"),
        ([{"name": "OUTPUT9"}], "the model has no output `OUTPUT9`"),
        ([{"name": 1}], "`outputs[0]` has no `name`"),
        ({"name": "OUTPUT0"}, "`outputs` is not a list"),
    ],
)
def test_outputs_that_cannot_be_are_refused(server: ServerProcess, outputs: object, message: str) -> None:
    assert message in _refused(_post(server, INFER, orjson.dumps(GOOD | {"outputs": outputs})))


@pytest.mark.parametrize("size", ["99999999999", "9" * 30, "-1", "1e3", "0x10", " ", "1,2"])
def test_a_length_of_the_json_that_lies_is_refused(server: ServerProcess, size: str) -> None:
    answer = _post(server, INFER, orjson.dumps(GOOD), {JSON_BYTES: size})
    if size == " ":  # as good as not given
        assert answer[0] == 200
    else:
        assert "Inference-Header-Content-Length" in _refused(answer)


def test_a_raw_body_needs_a_model_of_one_input(server: ServerProcess) -> None:
    assert "one input" in _refused(_post(server, INFER, ROW.tobytes(), {JSON_BYTES: "0"}))


@pytest.mark.parametrize("size", [0, 1, 3, 12, 2**30])
def test_binary_tensors_of_another_size_are_refused(server: ServerProcess, size: int) -> None:
    entry = {key: INPUT[key] for key in ("name", "shape", "datatype")}
    entries = [entry | {"parameters": {"binary_data_size": size}}, INPUT | {"name": "INPUT1"}]
    text = orjson.dumps({"inputs": entries})
    _refused(_post(server, INFER, text + bytes(min(size, 12)), {JSON_BYTES: str(len(text))}))


def test_a_body_in_chunks_is_read(server: ServerProcess) -> None:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    text = orjson.dumps(GOOD)
    connection.request("POST", INFER, iter([text[:7], text[7:50], text[50:]]), encode_chunked=True)
    response = connection.getresponse()
    assert response.status == 200
    assert orjson.loads(response.read())["outputs"][1]["data"] == [0, 0, 0, 0]
    connection.close()


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_body_that_grows_without_end_is_refused(server: ServerProcess, coding: str) -> None:
    zeros = bytes(FREE_BYTES * 4)
    bomb = gzip.compress(zeros) if coding == "gzip" else zlib.compress(zeros)
    before = server.resident_bytes()
    assert "when decompressed" in _refused(_post(server, INFER, bomb, {"Content-Encoding": coding}), 413)
    assert server.resident_bytes() < before + 4 * FREE_BYTES


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_body_that_is_not_in_its_coding_is_refused(server: ServerProcess, coding: str) -> None:
    assert "the body" in _refused(_post(server, INFER, orjson.dumps(GOOD), {"Content-Encoding": coding}))


@pytest.mark.parametrize("coding", ["", "identity", "Identity", "IDENTITY"])
def test_identity_is_no_coding(server: ServerProcess, coding: str) -> None:
    assert _post(server, INFER, orjson.dumps(GOOD), {"Content-Encoding": coding})[0] == 200


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, deflate", "identity;q=0"])
def test_an_unknown_coding_is_refused_with_the_known_ones(server: ServerProcess, coding: str) -> None:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    connection.request("POST", INFER, b"x", {"Content-Encoding": coding})
    response = connection.getresponse()
    assert (response.status, response.headers["Accept-Encoding"]) == (415, "gzip, deflate")
    assert "is not read" in orjson.loads(response.read())["error"]
    connection.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"POST /v2/models/add_sub/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n"
        b"Content-Length: 20\r\n\r\n",
        b"POST /v2/models/add_sub/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v2/models/add_sub/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"GET /v2/health/live HTTP/9.9\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    ],
    ids=["two lengths", "length and chunks", "unknown transfer coding", "version", "TLS"],
)
def test_what_is_not_http_is_refused(server: ServerProcess, sent: bytes) -> None:
    with socket.create_connection((server.host, server.port), timeout=60) as connection:
        connection.sendall(sent)
        answer = connection.recv(1000)
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_pipelined_requests_are_answered_in_order(server: ServerProcess) -> None:
    def request(number: int) -> bytes:
        body = orjson.dumps(GOOD | {"id": str(number)})
        return b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (
            INFER.encode(),
            len(body),
            body,
        )

    with socket.create_connection((server.host, server.port), timeout=60) as connection:
        connection.sendall(b"".join(request(number) for number in range(20)))
        got = b""
        while got.count(b'"id":') < 20:
            received = connection.recv(65536)
            assert received
            got += received
    assert [int(part.split(b'"')[0]) for part in got.split(b'"id":"')[1:]] == list(range(20))


MEBIBYTE = 2**20
TIMES = 15
MAX_GROWTH = 50 * MEBIBYTE
STRINGS = {"name": "x", "shape": [2**15, 2], "datatype": "BYTES", "parameters": {"binary_data_size": 2**18}}
# Of each bound one request that goes up to it or beyond: its path, body and headers, and its status.
AT_THE_BOUNDS: dict[str, tuple[str, bytes, dict[str, str], int]] = {
    "long headers": (INFER, orjson.dumps(GOOD), {f"x-{n}": "y" * 9000 for n in range(7)}, 200),
    "too long headers": (INFER, orjson.dumps(GOOD), {f"x-{n}": "y" * 9000 for n in range(8)}, 431),
    "headers": (INFER, orjson.dumps(GOOD), {f"x-{n}": "y" for n in range(250)}, 200),
    "too many headers": (INFER, orjson.dumps(GOOD), {f"x-{n}": "y" for n in range(257)}, 431),
    "depth": (INFER, b'{"inputs":' + b"[" * 2**20 + b"]" * 2**20 + b"}", {}, 400),
    "values": (INFER, b'{"inputs":[' + b"0," * MAX_VALUES + b"0]}", {}, 400),
    "strings": (
        "/v2/models/identity-BYTES/infer",
        orjson.dumps({"inputs": [STRINGS]}) + bytes(2**18),
        {JSON_BYTES: str(len(orjson.dumps({"inputs": [STRINGS]})))},
        200,
    ),
    "empty tensor": (INFER, _changed(shape=[0, 2**26], data=[]), {}, 400),
    "classes": (
        "/v2/models/double/infer",
        orjson.dumps(
            {
                "inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}],
                "outputs": [{"name": "y", "parameters": {"classification": 2**64 - 1}}],
            }
        ),
        {},
        200,
    ),
    "growth": (INFER, gzip.compress(bytes(FREE_BYTES - 1)), {"Content-Encoding": "gzip"}, 400),
    "ratio": (INFER, gzip.compress(bytes(FREE_BYTES + 1)), {"Content-Encoding": "gzip"}, 413),
    "small bodies": (INDEX, bytes(2 * 2**20), {}, 413),
}


@pytest.mark.slow
@pytest.mark.parametrize(("path", "body", "headers", "status"), AT_THE_BOUNDS.values(), ids=AT_THE_BOUNDS)
def test_what_goes_to_a_bound_leaves_no_memory_behind(
    server: ServerProcess, path: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    for _ in range(TIMES):  # what allocators keep, they keep from the first ones
        assert _post(server, path, body, headers)[0] == status
    before = server.resident_bytes()
    for _ in range(TIMES):
        assert _post(server, path, body, headers)[0] == status
    until(lambda: server.resident_bytes() < before + MAX_GROWTH)  # it is given back a moment later


def test_a_body_in_chunks_without_end_is_refused_at_the_limit(server: ServerProcess) -> None:
    before = server.resident_bytes()
    chunk = b"100000\r\n" + bytes(MEBIBYTE) + b"\r\n"
    sent = 0
    with socket.create_connection((server.host, server.port), timeout=60) as connection:
        connection.sendall(f"POST {INFER} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        connection.settimeout(0.001)
        answer = b""
        while sent < 200 and not answer:
            connection.settimeout(60)
            connection.sendall(chunk)
            sent += 1
            connection.settimeout(0.001)
            with contextlib.suppress(TimeoutError):
                answer = connection.recv(1000)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert 64 <= sent < 100
    assert server.resident_bytes() < before + 4 * 64 * MEBIBYTE


@pytest.mark.slow
def test_many_heads_that_do_not_end_cost_little(server: ServerProcess) -> None:
    before = server.resident_bytes()
    with contextlib.ExitStack() as opened:
        for number in range(200):
            connection = opened.enter_context(
                socket.create_connection((server.host, server.port), timeout=60)
            )
            many = b"x: y\r\n" * (10_000 if number % 2 else 250)
            connection.sendall(b"GET /v2 HTTP/1.1\r\n" + many)
        assert _post(server, INFER, orjson.dumps(GOOD))[0] == 200
        assert server.resident_bytes() < before + MAX_GROWTH
