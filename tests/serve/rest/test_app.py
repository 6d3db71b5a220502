"""What the framework itself would answer is an error of ours too."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from serve.engine import Engine
from serve.rest.app import create_app
from serve.rest.infer import Shortcut
from serve.settings import Settings
from tests.serve.client import Client

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


def test_a_wrong_method_names_the_right_one(client: Client) -> None:
    assert client.get("/v2/models/double/infer").headers["allow"] == "POST"


@pytest.mark.parametrize("path", BOTH)
def test_a_body_over_the_limit_is_refused(client: Client, path: str) -> None:
    response = client.post(path, b"x" * (MEBIBYTE + 1))
    assert response.status_code == 413
    assert response.json() == {"error": f"the body is larger than the limit of `{MEBIBYTE}` bytes"}


@pytest.mark.parametrize("path", BOTH)
def test_an_announced_length_of_any_size_is_refused(client: Client, path: str) -> None:
    assert client.post(path, b"", {"Content-Length": "9" * 5000}).status_code == 413


@pytest.mark.parametrize("path", BOTH)
def test_a_body_in_chunks_is_refused_as_soon_as_it_is_over_the_limit(client: Client, path: str) -> None:
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
def test_a_compressed_body_is_refused(client: Client, path: str) -> None:
    response = client.post(path, b"x", {"Content-Encoding": "gzip"})
    assert response.status_code == 415
    assert "Content-Encoding" in response.json()["error"]


@pytest.mark.parametrize("path", BOTH)
def test_an_error_that_nobody_foresaw_is_logged_and_not_shown(
    client: Client, path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("/secret/path")

    monkeypatch.setattr("serve.rest.infer.read_request", broken)
    monkeypatch.setattr("serve.rest.predict.read_instances", broken)
    with caplog.at_level(logging.ERROR):
        response = client.post(path, {"instances": [[1, 2, 3]]})
    assert response.status_code == 500
    assert response.json() == {"error": "something went wrong in the server; its log says what"}
    assert "ZeroDivisionError: /secret/path" in caplog.text


@pytest.mark.parametrize("version", ["", "/versions/2"])
@pytest.mark.parametrize(
    "body", [{"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}]}, {}]
)
def test_the_shortcut_answers_as_the_framework_would(
    engine: Engine, repository: Path, version: str, body: dict[str, object]
) -> None:
    shortcut = create_app(engine, Settings(models=repository))
    assert isinstance(shortcut, Shortcut)
    path = f"/v2/models/double{version}/infer"
    quick, slow = Client(shortcut).post(path, body), Client(shortcut._app).post(path, body)
    assert (quick.status_code, quick.content) == (slow.status_code, slow.content)
    assert dict(quick.headers) == dict(slow.headers)
