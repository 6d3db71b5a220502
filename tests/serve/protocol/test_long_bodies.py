"""Long bodies are read and written in threads, while the event loop answers others."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import orjson
import pytest

from serve.engine import Engine
from serve.protocol.json_text import LONG_BYTES
from serve.protocol.json_writing import PIECE_VALUES
from serve.rest import infer, instances, predict
from serve.rest.app import create_app
from serve.settings import Settings

GENEROUS_SECONDS = 60
FEW, MANY = 3, 3 * PIECE_VALUES
INFER, PREDICT = "/v2/models/double/infer", "/v1/models/double:predict"


def _tensor(count: int) -> bytes:
    rows = count // 3
    entry = {"name": "x", "shape": [rows, 3], "datatype": "FP32", "data": [1.5] * 3 * rows}
    return orjson.dumps({"inputs": [entry]})


def _instances(count: int) -> bytes:
    return orjson.dumps({"instances": [[1.5] * 3] * (count // 3)})


def _strings(count: int) -> bytes:
    """A tensor of so many texts, of which none takes a byte."""
    entry = {"name": "x", "shape": [count // 2, 2], "datatype": "BYTES"}
    head = orjson.dumps({"inputs": [entry | {"parameters": {"binary_data_size": 4 * count}}]})
    return head + b" " * (128 - len(head)) + bytes(4 * count)


class Case(NamedTuple):
    """A function that is to run in a thread, and a request for which it does."""

    module: Any
    function: str
    path: str
    body: bytes
    headers: Mapping[str, str] = {}


CASES = {
    "read": Case(infer, "read_request", INFER, _tensor(LONG_BYTES)),
    "write": Case(infer, "write_reply", INFER, _tensor(MANY)),
    "parse instances": Case(instances, "parse_instances", PREDICT, _instances(LONG_BYTES)),
    "read instances": Case(instances, "read_instances", PREDICT, _instances(LONG_BYTES)),
    "write predictions": Case(predict, "write_predictions", PREDICT, _instances(MANY)),
    "read texts": Case(
        infer,
        "read_request",
        "/v2/models/identity-BYTES/infer",
        _strings(LONG_BYTES),
        {"inference-header-content-length": "128"},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_others_are_answered_meanwhile(
    engine: Engine, repository: Path, monkeypatch: pytest.MonkeyPatch, case: Case
) -> None:
    answered, waiting = threading.Event(), threading.Event()
    original: Callable[..., Any] = getattr(case.module, case.function)

    def wait_for_the_other(*arguments: Any) -> Any:
        waiting.set()
        assert answered.wait(GENEROUS_SECONDS)
        return original(*arguments)

    monkeypatch.setattr(case.module, case.function, wait_for_the_other)
    app = create_app(engine, Settings(models=repository))

    async def ask_both() -> int:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            first = asyncio.create_task(client.post(case.path, content=case.body, headers=case.headers))
            await asyncio.to_thread(waiting.wait, GENEROUS_SECONDS)
            assert (await client.get("/v2/health/live")).status_code == 200
            answered.set()
            return (await first).status_code

    assert asyncio.run(ask_both()) == 200


@pytest.mark.parametrize(("path", "body"), [(INFER, _tensor(FEW)), (PREDICT, _instances(FEW))])
def test_short_bodies_need_no_thread(
    engine: Engine, repository: Path, monkeypatch: pytest.MonkeyPatch, path: str, body: bytes
) -> None:
    async def refuse(*arguments: Any) -> None:
        raise AssertionError("a short body was handed to a thread")

    monkeypatch.setattr(infer, "run_long", refuse)
    monkeypatch.setattr(predict, "run_long", refuse)
    monkeypatch.setattr(instances, "run_long", refuse)

    async def ask() -> int:
        transport = httpx.ASGITransport(create_app(engine, Settings(models=repository)))
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return (await client.post(path, content=body)).status_code

    assert asyncio.run(ask()) == 200
