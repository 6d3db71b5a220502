"""An id for each request, in its answer and in the log, whatever becomes of it."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from serve.access.keys import format_key
from serve.access.proxies import Proxies
from serve.engine import Engine
from serve.observe.observers import Observers, open_observers
from serve.rest.app import create_app
from serve.rest.middleware import InferenceMiddleware, ObservingMiddleware
from serve.settings import Settings
from tests.serve.in_process import Client
from tests.serve.process import ServerProcess

INFER = "/v2/models/double/infer"
ROW = {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}]}
ASKED = [("GET", "/v2", 200), ("GET", "/nowhere", 404), ("POST", INFER, 400), ("PUT", "/v2", 405)]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "access.jsonl"


@pytest.fixture
def observers(log: Path, changing: Path) -> Iterator[Observers]:
    opened = open_observers(log, "")
    yield opened
    opened.close()


@pytest.fixture
def logged(fresh_engine: Engine, changing: Path, observers: Observers) -> Client:
    return Client(create_app(fresh_engine, Settings(models=changing), observers=observers))


def test_nothing_stands_before_the_door_where_nobody_watches(fresh_engine: Engine, changing: Path) -> None:
    assert type(create_app(fresh_engine, Settings(models=changing))) is InferenceMiddleware


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path", "status"), ASKED)
def test_every_answer_has_the_id_that_its_line_has(
    logged: Client, log: Path, method: str, path: str, status: int
) -> None:
    for given in ({}, {"x-request-id": "mine"}, {"x-request-id": "not\tmine"}):
        answer = logged.request(method, path, b"", given)
        [own] = answer.headers.get_list("x-request-id")
        line = lines(log)[-1]
        assert (line["request_id"], line["status"], answer.status_code) == (own, status, status)
        assert (own == "mine") == (given == {"x-request-id": "mine"})


def test_the_line_names_the_key_and_not_what_it_is(
    fresh_engine: Engine, changing: Path, tmp_path: Path, log: Path, observers: Observers
) -> None:
    keys = tmp_path / "keys.toml"
    keys.write_text(format_key("press", "0123456789abcdef0123456789abcdef", frozenset({"infer"})))
    client = Client(create_app(fresh_engine, Settings(models=changing, keys=keys), observers=observers))
    key = {"authorization": "Bearer 0123456789abcdef0123456789abcdef"}
    assert client.post(INFER, ROW, key).status_code == 200
    assert client.post(INFER, ROW).status_code == 401
    assert [(line["caller"], line["status"]) for line in lines(log)] == [("press", 200), ("127.0.0.1", 401)]
    assert "0123456789abcdef" not in log.read_text()


def test_an_unanswered_request_is_logged_as_closed_by_its_client(log: Path, observers: Observers) -> None:
    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        return None

    async def nobody(*message: Message) -> Any:
        raise AssertionError

    scope = {"type": "http", "method": "POST", "path": INFER, "headers": []}
    asyncio.run(ObservingMiddleware(silent, observers, Proxies())(scope, nobody, nobody))
    assert [line["status"] for line in lines(log)] == [499]


@pytest.mark.parametrize(("method", "path", "status"), [*ASKED, ("POST", "/v2/models/double/infer", 200)])
def test_without_a_log_an_id_comes_back_as_it_was_given(
    server: ServerProcess, method: str, path: str, status: int
) -> None:
    content = json.dumps(ROW) if status == 200 else b""
    for given, back in (("a/b:c", ["a/b:c"]), (None, []), ("two words", []), ("x" * 129, [])):
        headers = {} if given is None else {"x-request-id": given}
        answer = httpx.request(method, server.url + path, content=content, headers=headers)
        assert (answer.status_code, answer.headers.get_list("x-request-id")) == (status, back)
