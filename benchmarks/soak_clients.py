"""Clients of every kind, honest and hostile, which check every answer."""

import gzip
import http.client
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
import orjson

from benchmarks.servers.load import binary_body, json_body
from benchmarks.servers.models import INPUT, SHAPES
from serve.grpc.messages import message_class

MODEL, SPARE = "mlp", "spare"
INFER = f"/v2/models/{MODEL}/infer"
GRPC_INFER = "/inference.GRPCInferenceService/ModelInfer"
SECONDS = 30
DEEP = 100_000
BOMB = gzip.compress(bytes(64 * 2**20))
KEPT_FAILURES = 20
Request = message_class("inference.ModelInferRequest")
Response = message_class("inference.ModelInferResponse")


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where the server is."""

    port: int
    grpc_address: str


class UnexpectedError(Exception):
    """An unexpected answer."""


@dataclass(slots=True)
class Tally:
    """The requests of each kind, and those with a wrong answer."""

    requests: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    messages: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, kind: str, error: Exception | None) -> None:
        """Count one request."""
        with self.lock:
            self.requests[kind] += 1
            if error is not None:
                self.failures[kind] += 1
                if len(self.messages) < KEPT_FAILURES:
                    self.messages.append(f"{kind}: {type(error).__name__}: {error}"[:300])


def ask_until_ended(kind: str, place: ServerAddress, tally: Tally, ended: threading.Event) -> None:
    """Ask until the event is set."""
    asking: Callable[[], None] | None = None
    while not ended.is_set():
        error: Exception | None = None
        try:
            asking = asking or CLIENTS[kind](place)
            asking()
        except (UnexpectedError, OSError, http.client.HTTPException, grpc.RpcError, ValueError) as raised:
            error, asking = raised, None
        tally.count(kind, error)


class _Http:
    """One persistent connection."""

    def __init__(self, place: ServerAddress) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=SECONDS)

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        self._connection.request(method, path, body, dict(headers or {}))
        response = self._connection.getresponse()
        return response.status, response.read()

    def expect(self, status: int, *asked: Any) -> bytes:
        got, text = self.ask(*asked)
        if got != status:
            raise UnexpectedError(f"{asked[0]} {asked[1]}: expected {status}, got {got}: {text[:100]!r}")
        return text


def _make_json_client(place: ServerAddress) -> Callable[[], None]:
    connection, body, expected = _Http(place), json_body(MODEL), _fetch_expected(place)

    def ask() -> None:
        message = orjson.loads(connection.expect(200, "POST", INFER, body.content, body.headers))
        _check_equal(np.array(message["outputs"][0]["data"], np.float32), expected)

    return ask


def _make_binary_client(place: ServerAddress) -> Callable[[], None]:
    connection, body, expected = _Http(place), binary_body(MODEL), _fetch_expected(place)

    def ask() -> None:
        answer = connection.expect(200, "POST", INFER, body.content, body.headers)
        _check_equal(np.frombuffer(answer[-expected.nbytes :], np.float32), expected)

    return ask


def _make_grpc_client(place: ServerAddress) -> Callable[[], None]:
    channel = grpc.insecure_channel(place.grpc_address)
    call, expected = channel.unary_unary(GRPC_INFER), _fetch_expected(place)
    request = Request(model_name=MODEL)
    request.inputs.add(name=INPUT, datatype="FP32", shape=[1, *SHAPES[MODEL]])
    body = binary_body(MODEL).content
    request.raw_input_contents.append(body[-4 * SHAPES[MODEL][0] :])
    data = request.SerializeToString()

    def ask() -> None:
        answer = Response.FromString(call(data, timeout=SECONDS))
        _check_equal(np.frombuffer(answer.raw_output_contents[0], np.float32), expected)

    return ask


def _fetch_expected(place: ServerAddress) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The answer to one sample, which never changes: every version that is loaded is the same file."""
    body = binary_body(MODEL)
    answer = _Http(place).expect(200, "POST", INFER, body.content, body.headers)
    return np.frombuffer(answer[-40:], np.float32)


def _check_equal(got: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> None:
    if got.tobytes() != expected.tobytes():
        raise UnexpectedError("the answer is another than the first one")


def _make_refused_client(place: ServerAddress) -> Callable[[], None]:
    connection = _Http(place)
    asked = [
        (404, "POST", "/v2/models/nope/infer", b"{}"),
        (404, "GET", "/nope", b""),
        (405, "PUT", INFER, b""),
        (400, "POST", INFER, b"{}"),
        (400, "POST", INFER, b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]}'),
        (400, "POST", f"/v1/models/{MODEL}:predict", b'{"instances": [[1]]}'),
        (501, "POST", "/v2/systemsharedmemory/region/r/register", b"{}"),
    ]

    def ask() -> None:
        connection.expect(*random.choice(asked))

    return ask


def _make_hostile_client(place: ServerAddress) -> Callable[[], None]:
    asked: list[tuple[Any, ...]] = [
        (400, "POST", INFER, b"[" * DEEP),
        (400, "POST", INFER, b'{"a":' * DEEP + b"1" + b"}" * DEEP),
        (413, "POST", INFER, BOMB, {"Content-Encoding": "gzip"}),
        (400, "POST", INFER, b"\x00" * 2**20),
        (400, "POST", INFER, b'{"inputs":[' + b"[]," * 2**18 + b"1]}"),
        (400, "POST", INFER, b"{}", {"Inference-Header-Content-Length": "9" * 17}),
        (200, "GET", "/v2/health/live", b"", {"X-Long": "x" * 60_000}),
    ]

    def ask() -> None:
        _Http(place).expect(*random.choice(asked))

    return ask


def _make_broken_client(place: ServerAddress) -> Callable[[], None]:
    """Connections that end in the middle of a request; no answer is expected."""
    head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n".encode()
    body = json_body(MODEL).content
    whole = head.replace(b"5000", b"%d" % len(body)) + body

    def ask() -> None:
        sent = random.choice([b"", b"POST /", head, head + b"{", whole, b"\x16\x03\x01\x02\x00" * 20])
        with socket.create_connection(("127.0.0.1", place.port), timeout=SECONDS) as connection:
            connection.sendall(sent)
            if random.random() < 0.5:
                connection.shutdown(socket.SHUT_WR)
            time.sleep(0.02)

    return ask


def _make_reload_client(place: ServerAddress) -> Callable[[], None]:
    """Reloads the model with other settings while other clients use it; unloads and loads a spare one."""
    connection = _Http(place)
    rows = 8

    def ask() -> None:
        nonlocal rows
        rows = 24 - rows
        config = orjson.dumps({"parameters": {"config": f'{{"batch_rows": {rows}}}'}})
        connection.expect(200, "POST", f"/v2/repository/models/{MODEL}/load", config)
        connection.expect(200, "POST", f"/v2/repository/models/{SPARE}/unload")
        connection.expect(200, "POST", f"/v2/repository/models/{SPARE}/load")
        connection.expect(200, "GET", "/v2/health/ready")

    return ask


CLIENTS: dict[str, Callable[[ServerAddress], Callable[[], None]]] = {
    "JSON": _make_json_client,
    "binary": _make_binary_client,
    "gRPC": _make_grpc_client,
    "refused": _make_refused_client,
    "hostile": _make_hostile_client,
    "broken off": _make_broken_client,
    "reload": _make_reload_client,
}
