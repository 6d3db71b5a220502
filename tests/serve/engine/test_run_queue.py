import asyncio
import contextlib
import errno
import gc
import os
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serve.engine import Engine
from serve.engine.config import ModelConfig
from serve.engine.errors import (
    DeadlineExceededError,
    DrainingError,
    EngineError,
    QueueFullError,
)
from serve.engine.run_cost import RunCost
from serve.engine.signature import Array
from tests.serve import models
from tests.serve.engine.conftest import Opened
from tests.serve.engine.gate import Gate
from tests.serve.engine.requests import ROW, collect, put, run_behind, start_requests, wait_until_running
from tests.waiting import until

LONG_TURNS = 10**12  # days


def test_a_full_queue_refuses_with_a_retry_time(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, models.DOUBLE)
    engine = opened(concurrency=1, defaults=ModelConfig(queue_length=2))
    gate = Gate(engine.model("double"), monkeypatch, joins=False)
    got = asyncio.run(run_behind(engine, gate, "double", *[ROW] * 5))
    assert [type(answer) for answer in got] == [dict, dict, dict, QueueFullError, QueueFullError]
    assert str(got[3]).startswith("model `double` version `1` has 2 requests waiting, which is its limit")
    assert got[3].retry_after_seconds >= 1


def test_requests_are_answered_where_no_file_handle_is_left(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    put(tmp_path, models.DOUBLE)
    engine = opened(concurrency=1)
    gate = Gate(engine.model("double"), monkeypatch)
    monkeypatch.setattr(os, "eventfd", fail)
    answers = asyncio.run(run_behind(engine, gate, "double", ROW, ROW))
    assert [type(answer) for answer in answers] == [dict, dict]


@pytest.mark.parametrize(
    ("config", "timeout", "message"),
    [
        (ModelConfig(queue_seconds=0.05), None, "waited 0.05 s, which is its limit"),
        (ModelConfig(), 0.05, "the request's 0.05 s were over while it was waiting"),
        (ModelConfig(), 0.0, "the request's time was over when it came"),
    ],
)
def test_a_request_waits_no_longer_than_it_may_and_is_not_run(
    tmp_path: Path,
    opened: Opened,
    monkeypatch: pytest.MonkeyPatch,
    config: ModelConfig,
    timeout: float | None,
    message: str,
) -> None:
    put(tmp_path, models.DOUBLE)
    engine = opened(concurrency=1)
    model = engine.model("double")
    gate = Gate(model, monkeypatch)

    async def too_late() -> list[Any]:
        front = start_requests(engine, "double", ROW)
        await asyncio.to_thread(gate.wait_for_a_run)
        monkeypatch.setattr(model, "config", config)  # the one in front may wait as long as it must
        late = await collect(start_requests(engine, "double", ROW, timeout_seconds=timeout))
        gate.open()
        return late + await collect(front)

    late, front = asyncio.run(too_late())
    assert isinstance(late, DeadlineExceededError)
    assert message in str(late)
    assert front["y"].tolist() == [[2, 4, 6]]
    assert gate.rows == [1]


def test_a_request_that_is_too_late_leaves_nothing_behind(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, models.DOUBLE)
    engine = opened(concurrency=1)
    gate = Gate(engine.model("double"), monkeypatch)

    async def test() -> None:
        front = start_requests(engine, "double", ROW)
        await asyncio.to_thread(gate.wait_for_a_run)
        x = np.ones((1, 3), np.float32)
        freed = weakref.ref(x)
        with contextlib.suppress(DeadlineExceededError):
            await engine.run(engine.model("double"), {"x": x}, timeout_seconds=0.01)
        del x
        await asyncio.sleep(0)  # what has just woken this task is forgotten
        assert freed() is None
        gate.open()
        await collect(front)

    gc.collect()
    gc.disable()
    try:
        asyncio.run(test())
    finally:
        gc.enable()


def _slow(folder: Path, opened: Opened, patch: pytest.MonkeyPatch, **changes: Any) -> Engine:
    """An engine with one model that runs for very long, and one thread."""
    patch.setattr("serve.engine.model.ServedModel._warm_up", lambda *_: 1.0)
    patch.setattr("serve.engine.model.ServedModel._can_join", lambda *_: False)
    models.put(folder, "slow", models.slow_model(turns=LONG_TURNS))
    return opened(concurrency=1, **changes)


async def _until_free(engine: Engine) -> None:
    """Return once nothing waits or runs, which is before any run would end by itself."""
    await asyncio.to_thread(until, lambda: not engine.count_pending())


@pytest.mark.slow
def test_a_run_ends_when_its_requests_time_is_over(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = _slow(tmp_path, opened, monkeypatch)

    async def late() -> list[Any]:
        got = await collect(start_requests(engine, "slow", ROW[0], timeout_seconds=0.5))
        await _until_free(engine)
        return got

    [error] = asyncio.run(late())
    assert isinstance(error, DeadlineExceededError)
    assert "were over while it was running" in str(error)


def test_a_run_ends_when_its_client_goes_away(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = _slow(tmp_path, opened, monkeypatch)

    async def gone() -> int:
        running, waiting = start_requests(engine, "slow", ROW[0], ROW[0])
        await wait_until_running(engine, waiting=1)
        waiting.cancel()
        await collect([waiting])
        left = engine.count_pending()
        running.cancel()
        await collect([running])
        await _until_free(engine)
        return left

    assert asyncio.run(gone()) == 1


def test_the_model_whose_request_came_first_runs_first(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, models.DOUBLE, models.LOG)
    engine = opened(concurrency=1)
    order: list[str] = []
    gates = {name: Gate(engine.model(name), monkeypatch, joins=False) for name in ("double", "log")}

    async def turns() -> None:
        front = start_requests(engine, "double", ROW)
        await asyncio.to_thread(gates["double"].wait_for_a_run)
        rest = []
        for name in ("log", "double", "log"):
            [begun] = start_requests(engine, name, ROW if name == "double" else ROW[0])
            begun.add_done_callback(lambda _, name=name: order.append(name))  # type: ignore[misc]
            rest.append(begun)
            await asyncio.sleep(0)
        for gate in gates.values():
            gate.open()
        await collect(front + rest)

    asyncio.run(turns())
    assert order == ["log", "double", "log"]


def test_an_engine_that_is_about_to_end_answers_and_changes_nothing(tmp_path: Path, opened: Opened) -> None:
    put(tmp_path, models.DOUBLE)
    engine = opened(concurrency=1)
    engine.announce_end()

    async def ask() -> list[Any]:
        with pytest.raises(DrainingError):
            await engine.load("double")
        with pytest.raises(DrainingError):
            await engine.unload("double")
        return await collect(start_requests(engine, "double", ROW))

    assert not engine.ready
    assert [type(answer) for answer in asyncio.run(ask())] == [dict]


def test_an_unforeseen_error_is_answered_and_the_thread_goes_on(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, models.DOUBLE)
    engine = opened(concurrency=1)
    model = engine.model("double")
    run = model.run
    monkeypatch.setattr(model, "cost", RunCost(1.0))

    def broken(*_: Any) -> list[Array]:
        raise ZeroDivisionError

    monkeypatch.setattr(model, "run", broken)
    with pytest.raises(EngineError, match="the server's log says why"):
        asyncio.run(engine.run(engine.model("double"), {"x": ROW}))
    monkeypatch.setattr(model, "run", run)
    assert asyncio.run(engine.run(engine.model("double"), {"x": ROW}))["y"].tolist() == [[2, 4, 6]]


@pytest.mark.slow
def test_answers_are_freed_without_the_garbage_collector(tmp_path: Path, opened: Opened) -> None:
    models.put(tmp_path, "slow", models.slow_model(turns=20_000))
    engine = opened()

    async def freed() -> bool:
        sent = np.full(2, 0.5, np.float32)
        reference = weakref.ref(sent)
        await engine.run(engine.model("slow"), {"x": sent})
        del sent
        for _ in range(1000):  # the thread that ran it lets go of it soon
            if reference() is None:
                return True
            await asyncio.sleep(0.001)
        return False

    gc.collect()
    gc.disable()
    try:
        assert asyncio.run(freed())
    finally:
        gc.enable()
