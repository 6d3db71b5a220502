"""Both clients, which differ in nothing but how they wait."""

import gzip
import inspect
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import suppress

import numpy as np
import pytest

import serve.client
from serve.client import (
    AsyncClient,
    Client,
    ClientError,
    InvalidInputError,
    InvalidReplyError,
    ReplyTooLargeError,
    Retry,
    TimedOutError,
    UnauthorizedError,
    UnavailableError,
    UnreachableError,
)
from serve.client.transport import Transport
from tests.serve.client.scripted import Answer, json_reply, scripted
from tests.serve.client.through import Through, awaiting, both

SERVER = {"name": "s", "version": "1", "extensions": ["binary_tensor_data"]}


def test_both_clients_have_the_same_methods() -> None:
    def methods(kind: type) -> dict[str, object]:
        found = {name: value for name, value in vars(kind).items() if not name.startswith("_")}
        return {name.removeprefix("a"): (inspect.signature(f), f.__doc__) for name, f in found.items()}

    assert methods(Client) == methods(AsyncClient)


@both
def test_a_reply_is_read(through: Through) -> None:
    with scripted(json_reply(SERVER)) as server:
        assert through(server.url, lambda c: c.server_metadata()).extensions == ("binary_tensor_data",)
    assert server.requests[0].headers["accept-encoding"] == "identity"


@both
def test_a_key_and_headers_are_sent(through: Through) -> None:
    with scripted(json_reply(SERVER)) as server:
        transport = Transport(headers={"x-team": "a"}, gzip_replies=True)
        through(server.url + "/", lambda c: c.server_metadata(), api_key="secret", transport=transport)
    asked = server.requests[0]
    assert asked.path == "/v2"
    assert asked.headers["authorization"] == "Bearer secret"
    assert (asked.headers["x-team"], asked.headers["accept-encoding"]) == ("a", "gzip, deflate")


@both
def test_an_inference_is_one_binary_message(through: Through) -> None:
    given = np.array([[1, 2]], np.float32)
    head = {"model_name": "m", "model_version": "3", "id": "7"}
    head["outputs"] = [  # type: ignore[assignment]
        {"name": "y", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}}
    ]
    text = json.dumps(head).encode()
    answer = Answer(
        body=text + (2 * given).tobytes(), headers={"Inference_Header_Content_Length": str(len(text))}
    )
    with scripted(answer) as server:
        result = through(
            server.url,
            lambda c: c.infer("a/b", {"x": given}, version="3", outputs=["y"], request_id="7"),
            timeout_seconds=60,
        )
    asked = server.requests[0]
    assert asked.path == "/v2/models/a%2Fb/versions/3/infer"
    size = int(asked.headers["inference-header-content-length"])
    message = json.loads(asked.body[:size])
    assert asked.body[size:] == given.tobytes()
    assert message["id"] == "7"
    assert message["outputs"] == [{"name": "y"}]
    assert message["parameters"]["binary_data_output"] is True
    assert 30_000_000 < message["parameters"]["timeout"] <= 60_000_000
    assert (result.model_version, result.id) == ("3", "7")
    assert np.array_equal(result["y"], [[2, 4]])


@both
def test_a_server_that_comes_back_is_asked_again(through: Through) -> None:
    with scripted(Answer(503), Answer(cut=0, body=b"x"), Answer(429), json_reply(SERVER)) as server:
        retry = Retry(attempts=4, first_seconds=0.01)
        assert through(server.url, lambda c: c.server_metadata(), retry=retry).name == "s"
        assert len(server.requests) == 4


@both
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (json_reply({"error": "why"}, 400), InvalidInputError),
        (json_reply({"error": "why"}, 401), UnauthorizedError),
        (json_reply({"error": "why"}, 503), UnavailableError),
        (json_reply({"error": "why"}, 307, location="http://127.0.0.1:1"), InvalidReplyError),
        (json_reply({"error": "why"}, 201), InvalidReplyError),
    ],
)
def test_an_error_has_the_servers_words(through: Through, answer: Answer, kind: type[ClientError]) -> None:
    with scripted(answer) as server, pytest.raises(kind, match="why"):
        through(server.url, lambda c: c.model_metadata("m"))


@both
def test_nobody_there_is_unreachable(through: Through) -> None:
    with scripted(Answer()) as server:
        pass
    with pytest.raises(UnreachableError, match=f"`{server.url}` cannot be reached"):
        through(server.url, lambda c: c.is_live())


@both
@pytest.mark.parametrize("cut", [0, 5])
def test_a_reply_that_breaks_off_is_unreachable(through: Through, cut: int) -> None:
    with scripted(Answer(body=bytes(10), cut=cut)) as server:
        with pytest.raises(UnreachableError):
            through(server.url, lambda c: c.server_metadata())
        assert len(server.requests) == 3


@pytest.mark.slow
@both
def test_a_reply_that_drips_ends_in_time(through: Through) -> None:
    # Each byte comes in time for one read; only the whole takes too long.
    with scripted(Answer(body=bytes(1000), seconds_a_byte=0.2)) as server:
        with pytest.raises(TimedOutError, match=r"did not answer within 1 s"):
            through(server.url, lambda c: c.server_metadata(), timeout_seconds=1)
        assert len(server.requests) == 1


@pytest.mark.slow
def test_the_asynchronous_client_ends_in_time_while_headers_drip() -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.recv(65_536)
            for byte in b"HTTP/1.1 200 OK\r\nx-drop: " + b"a" * 1000:
                connection.sendall(bytes([byte]))
                time.sleep(0.1)

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    began = time.monotonic()
    with listener, pytest.raises(TimedOutError, match="the reply came too slowly"):
        awaiting(f"http://127.0.0.1:{listener.getsockname()[1]}", lambda c: c.is_live(), timeout_seconds=0.5)
    assert time.monotonic() - began < 50
    thread.join()


@both
@pytest.mark.parametrize("seconds", [float("inf"), 1e300])
def test_any_time_limit_can_be_waited_for(through: Through, seconds: float) -> None:
    with scripted(json_reply({"outputs": []})) as server:
        x = {"x": np.ones(1, np.float32)}
        assert through(server.url, lambda c: c.infer("m", x), timeout_seconds=seconds).outputs == {}


@both
def test_a_time_limit_that_is_not_a_number_is_over(through: Through) -> None:
    with pytest.raises(TimedOutError):
        through("http://127.0.0.1:1", lambda c: c.is_live(), timeout_seconds=float("nan"))


@both
@pytest.mark.parametrize("headers", [{}, {"content_encoding": "gzip"}])
def test_a_reply_beyond_the_limit_is_refused(through: Through, headers: dict[str, str]) -> None:
    body = bytes(10**6)
    answer = Answer(body=gzip.compress(body) if headers else body, headers=headers)
    transport = Transport(reply_limit_bytes=1000, gzip_replies=True)
    with scripted(answer) as server, pytest.raises(ReplyTooLargeError, match="limit of 1000 bytes"):
        through(server.url, lambda c: c.server_metadata(), transport=transport)


@both
@pytest.mark.parametrize(("status", "ready"), [(200, True), (400, False), (404, False), (503, False)])
def test_a_model_is_ready_or_not(through: Through, status: int, ready: bool) -> None:
    with scripted(Answer(status)) as server:
        assert through(server.url, lambda c: c.is_model_ready("m")) is ready
        assert len(server.requests) == 1


@both
def test_what_the_repository_and_the_statistics_say_is_typed(through: Through) -> None:
    index = [
        {"name": "m", "version": "1", "state": "READY"},
        {"name": "n", "state": "UNAVAILABLE", "reason": "r"},
    ]
    with scripted(json_reply(index)) as server:
        states = through(server.url, lambda c: c.index())
    assert [(each.name, each.version, each.state, each.reason) for each in states] == [
        ("m", "1", "READY", ""),
        ("n", "", "UNAVAILABLE", "r"),
    ]
    stats = {"name": "m", "version": "1", "inference_count": 5, "execution_count": 2}
    stats |= {"inference_stats": {"success": {"count": 2, "ns": 70}}}
    with scripted(json_reply({"model_stats": [stats]})) as server:
        (found,) = through(server.url, lambda c: c.model_statistics("m"))
    assert (found.inference_count, found.durations["success"].ns) == (5, 70)


@both
def test_an_image_is_an_instance(through: Through) -> None:
    with scripted(json_reply({"predictions": [[0.5]], "labels": ["cat"]})) as server:
        found = through(
            server.url, lambda c: c.predict("m", [b"\x89PNG", np.ones(1, np.float32), {"a": np.int8(2)}])
        )
    assert json.loads(server.requests[0].body) == {"instances": [{"b64": "iVBORw=="}, [1.0], {"a": 2}]}
    assert (found.predictions, found.labels) == ([[0.5]], ("cat",))


def test_certificates_are_checked_wherever_there_are_any() -> None:
    own = ssl.create_default_context()
    assert Transport(tls=own).verify("https://a") is own
    assert Transport().verify("HTTPS://a") is True
    assert Transport(tls=own).verify("http://a") is False


def test_every_error_can_be_imported_from_the_package() -> None:
    kinds = [each for each in vars(serve.client.errors).values() if isinstance(each, type)]
    names = {kind.__name__ for kind in kinds if issubclass(kind, ClientError)}
    assert names <= set(serve.client.__all__)


def test_the_client_needs_neither_a_runtime_nor_a_framework() -> None:
    unwanted = (
        "onnxruntime",
        "torch",
        "onnx",
        "fastapi",
        "pydantic",
        "orjson",
        "simdjson",
        "grpc",
    )
    code = f"import sys, serve.client; print(*(name for name in {unwanted} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
