"""What the framework itself would answer is an error of ours too."""

import gzip
import logging
import re
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import orjson
import pytest

from serve.engine import Engine
from serve.rest.app import create_app
from serve.rest.middleware import InferenceMiddleware
from serve.settings import Settings
from tests.serve.in_process import Client

MEBIBYTE = 2**20
BOTH = ["/v2/models/double/infer", "/v1/models/double:predict"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/nothing/here", 404),
        ("POST", "/v2/models/a/b/infer", 404),
        ("GET", "/v2/models/double/", 404),
        ("GET", "/v2/models/double/infer", 405),
        ("GET", "/v2/models/double/versions/1/infer", 405),
        ("PUT", "/v1/models/double:predict", 405),
        ("POST", "/v2/health/live", 405),
        ("DELETE", "/v2", 405),
        ("GET", "/docs/nothing.js", 404),
        ("GET", "/docs/%2e%2e%2fcore.py", 404),
    ],
)
def test_unknown_paths_and_methods_are_errors_in_json(
    client: Client, method: str, path: str, status: int
) -> None:
    response = client.request(method, path)
    assert response.status_code == status
    assert list(response.json()) == ["error"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v2/models/double/infer", "POST"),
        ("DELETE", "/v2/logging", "GET, HEAD, POST"),
        ("GET", "/v1/models/double:predict", "POST"),
        ("POST", "/adaptact/v1/models/double/aliases/stable", "GET, HEAD, PUT, DELETE"),
    ],
)
def test_a_wrong_method_names_the_right_ones(client: Client, method: str, path: str, allowed: str) -> None:
    assert client.request(method, path).headers["allow"] == allowed


@pytest.mark.parametrize("path", BOTH)
def test_a_body_over_the_limit_is_refused(client: Client, path: str) -> None:
    response = client.post(path, b"x" * (MEBIBYTE + 1))
    assert response.status_code == 413
    assert response.json() == {"error": f"the body is larger than the limit of `{MEBIBYTE}` bytes"}


@pytest.mark.parametrize("path", BOTH)
def test_an_announced_length_of_any_size_is_refused(client: Client, path: str) -> None:
    assert client.post(path, b"", {"Content-Length": "9" * 5000}).status_code == 413


@pytest.mark.parametrize("path", BOTH)
def test_a_chunked_body_is_refused_once_over_the_limit(client: Client, path: str) -> None:
    sent = 0

    async def far_too_much() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 1
            yield bytes(100_000)

    assert client.request("POST", path, far_too_much()).status_code == 413
    assert sent <= 1 + MEBIBYTE // 100_000 + 1


@pytest.mark.parametrize("path", BOTH)
def test_a_body_in_chunks_within_the_limit_is_joined(client: Client, path: str) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for part in (b'{"inputs":[{"name":"x","shape":[1,3],', b'"datatype":"FP32","data":[1,2,3]}],', b""):
            yield part
        yield b'"instances":[[1,2,3]]}'

    assert client.request("POST", path, chunks()).status_code == 200


@pytest.mark.parametrize("path", BOTH)
def test_an_error_that_nobody_foresaw_is_logged_and_not_shown(
    client: Client, path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("/secret/path")

    monkeypatch.setattr("serve.rest.infer.read_request", broken)
    monkeypatch.setattr("serve.rest.instances.read_instances", broken)
    with caplog.at_level(logging.ERROR):
        response = client.post(path, {"instances": [[1, 2, 3]]})
    assert response.status_code == 500
    assert response.json() == {"error": "something went wrong in the server; its log says what"}
    assert "ZeroDivisionError: /secret/path" in caplog.text


@pytest.mark.parametrize("version", ["", "/versions/2"])
@pytest.mark.parametrize(
    "body", [{"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}]}, {}]
)
def test_the_door_answers_as_the_framework_would(
    engine: Engine, repository: Path, version: str, body: dict[str, object]
) -> None:
    app = create_app(engine, Settings(models=repository))
    assert isinstance(app, InferenceMiddleware)
    path = f"/v2/models/double{version}/infer"
    quick, slow = Client(app).post(path, body), Client(app._app).post(path, body)
    assert (quick.status_code, quick.content) == (slow.status_code, slow.content)
    assert dict(quick.headers) == dict(slow.headers)


CODINGS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress}
ROWS = 200


def _rows(path: str) -> bytes:
    rows = [[1.0, 2.0, 3.0]] * ROWS
    entry = {"name": "x", "shape": [ROWS, 3], "datatype": "FP32", "data": rows}
    return orjson.dumps({"instances": rows} if path.startswith("/v1") else {"inputs": [entry]})


@pytest.mark.parametrize("path", BOTH)
@pytest.mark.parametrize("coding", list(CODINGS))
def test_bodies_are_compressed_both_ways(client: Client, path: str, coding: str) -> None:
    plain = client.post(path, _rows(path), {"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    headers = {"Content-Encoding": coding, "Accept-Encoding": f"br, {coding}"}
    short = client.post(path, CODINGS[coding](_rows(path)), headers)
    assert short.headers["content-encoding"] == coding
    assert int(short.headers["content-length"]) < len(plain.content) / 4
    assert short.content == plain.content  # the client has decompressed it


def test_the_json_length_counts_uncompressed_bytes(client: Client) -> None:
    entry = {"name": "x", "shape": [1, 3], "datatype": "FP32", "parameters": {"binary_data_size": 12}}
    text = orjson.dumps({"inputs": [entry]})
    headers = {"Content-Encoding": "gzip", "Inference-Header-Content-Length": str(len(text))}
    response = client.post(BOTH[0], gzip.compress(text + np.ones(3, np.float32).tobytes()), headers)
    assert response.json()["outputs"][0]["data"] == [2, 2, 2]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["/openapi.json", "/v2/models/nope/infer", "/v2/models/double", "/metrics"])
def test_nothing_but_answers_to_inference_is_compressed(client: Client, method: str, path: str) -> None:
    response = client.request(method, path, headers={"Accept-Encoding": "gzip, deflate, br"})
    assert "content-encoding" not in response.headers


@pytest.mark.slow
@pytest.mark.parametrize("version", ["", "/versions/2"])
@pytest.mark.parametrize("body", [{"instances": [[1, 2, 3]]}, {}])
def test_the_door_predicts_as_the_framework_would(
    engine: Engine, repository: Path, version: str, body: dict[str, object]
) -> None:
    app = create_app(engine, Settings(models=repository))
    assert isinstance(app, InferenceMiddleware)
    path = f"/v1/models/double{version}:predict"
    quick, slow = Client(app).post(path, body), Client(app._app).post(path, body)
    assert (quick.status_code, quick.content) == (slow.status_code, slow.content)
    assert dict(quick.headers) == dict(slow.headers)


@pytest.fixture(scope="module")
def openapi(client: Client) -> dict[str, Any]:
    document: dict[str, Any] = client.get("/openapi.json").json()
    return document


def test_the_page_and_all_it_is_made_of_come_from_this_server(client: Client) -> None:
    page = client.get("/docs").text
    linked = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(linked) == 3
    for link in linked:
        assert link.startswith("/docs/")
        assert client.get(link).status_code == 200
    assert "//" not in re.sub(r"<!--.*?-->", "", page).replace("http://www.w3.org", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/v2/models/{model}/infer", ["model", "Inference-Header-Content-Length"]),
        (
            "/v2/models/{model}/versions/{version}/infer",
            ["model", "version", "Inference-Header-Content-Length"],
        ),
        ("/v1/models/{model}:predict", ["model"]),
        ("/v1/models/{model}/versions/{version}:predict", ["model", "version"]),
    ],
)
def test_bodies_that_the_routes_read_themselves_are_described(
    openapi: dict[str, Any], path: str, parameters: list[str]
) -> None:
    operation = openapi["paths"][path]["post"]
    assert [parameter["name"] for parameter in operation["parameters"]] == parameters
    assert "application/json" in operation["requestBody"]["content"]
    assert "application/json" in operation["responses"]["200"]["content"]
    assert {"400", "404", "413", "503"} <= set(operation["responses"])


def _schemas(openapi: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    operation = openapi["paths"]["/v2/models/{model}/infer"]["post"]
    request, answered = operation["requestBody"]["content"], operation["responses"]["200"]["content"]
    assert "application/octet-stream" in request
    assert "application/octet-stream" in answered
    return request["application/json"]["schema"], answered["application/json"]["schema"]


def test_what_is_sent_and_answered_is_what_is_described(client: Client, openapi: dict[str, Any]) -> None:
    request, answered = _schemas(openapi)
    message = {
        "id": "1",
        "inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}],
        "outputs": [{"name": "y", "parameters": {"binary_data": False}}],
    }
    jsonschema.validate(message, request)
    jsonschema.validate(client.post("/v2/models/double/infer", message).json(), answered)


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "x", "shape": [1], "datatype": "FP32"},
        {"name": "x", "shape": [1], "datatype": "FP32", "data": [1], "parameters": {"binary_data_size": 4}},
        {"name": "x", "shape": [-1], "datatype": "FP32", "data": [1]},
        {"name": "x", "shape": [1], "datatype": "FLOAT", "data": [1]},
    ],
)
def test_what_is_refused_is_described_as_wrong(
    client: Client, openapi: dict[str, Any], entry: dict[str, Any]
) -> None:
    request, _ = _schemas(openapi)
    assert not jsonschema.Draft202012Validator(request).is_valid({"inputs": [entry]})
    assert client.post("/v2/models/log/infer", {"inputs": [entry]}).status_code == 400
