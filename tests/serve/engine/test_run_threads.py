import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serve.engine import Engine
from serve.engine.config import ModelConfig
from serve.engine.errors import DeadlineExceededError
from serve.engine.run_cost import RunCost
from tests.serve import models
from tests.serve.engine.conftest import Opened
from tests.serve.engine.gate import Gate
from tests.serve.engine.requests import ROW, collect, put, start_requests
from tests.waiting import until

LONG_TURNS = 10**12  # days
AT_ONCE = ModelConfig(run_seconds=0.05)


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs last soon, and are soon stuck."""
    monkeypatch.setattr("serve.engine.run_threads.LASTING_SECONDS", 0.01)
    monkeypatch.setattr("serve.engine.run_threads.STUCK_SECONDS", 0.05)


def _count_threads() -> int:
    return sum(thread.name == "adaptact-run" for thread in threading.enumerate())


class Gates:
    """Gates for models by name, all of which are open after the test."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        self._gates: list[Gate] = []

    def close(self, engine: Engine, name: str, joins: bool = False) -> Gate:
        self._gates.append(Gate(engine.model(name), self._patch, joins))
        return self._gates[-1]

    def open(self) -> None:
        for gate in self._gates:
            gate.open()


@pytest.fixture
def gates(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gates]:
    closed = Gates(monkeypatch)
    yield closed
    closed.open()


def _run_log(engine: Engine) -> "asyncio.Task[Any]":
    """A request to the model `log`, in a thread."""
    engine.model("log").cost = RunCost(1.0)
    return start_requests(engine, "log", np.ones(1, np.float32))[0]


def test_a_run_is_ended_at_its_models_deadline(tmp_path: Path, opened: Opened) -> None:
    models.put(tmp_path, "turns", models.model(models.TURNS))
    engine = opened(concurrency=1)
    model = engine.model("turns")
    model.config = ModelConfig(run_seconds=0.2)
    endless, short = ({"n": np.array(turns), "x": ROW[0]} for turns in (LONG_TURNS, 0))

    async def run() -> Any:
        with pytest.raises(
            DeadlineExceededError, match=r"`turns` version `1`: ran 0.2 s, which is its limit"
        ):
            await engine.run(model, endless)
        model.config = ModelConfig()
        return await engine.run(model, short)

    assert asyncio.run(run())["y"].tolist() == ROW[0].tolist()
    assert engine.stuck is None


def test_the_deadline_of_a_joined_run_is_that_of_all_its_requests(
    tmp_path: Path, opened: Opened, gates: Gates
) -> None:
    put(tmp_path, models.DOUBLE)
    engine = opened(concurrency=1)
    gate = gates.close(engine, "double", joins=True)

    async def run() -> list[Any]:
        front = start_requests(engine, "double", ROW)
        await asyncio.to_thread(gate.wait_for_a_run)
        rest = start_requests(engine, "double", ROW, ROW)
        await asyncio.sleep(0)
        gate.open(1)
        await asyncio.to_thread(gate.wait_for_a_run)
        await collect(front)
        engine.model("double").config = AT_ONCE
        return await collect(front + rest)

    got = asyncio.run(run())
    assert [type(answer) for answer in got] == [dict, DeadlineExceededError, DeadlineExceededError]
    assert gate.rows == [1, 2]


@pytest.mark.usefixtures("patience")
def test_a_run_that_does_not_end_is_given_up_and_its_thread_replaced(
    tmp_path: Path, opened: Opened, gates: Gates
) -> None:
    put(tmp_path, models.DOUBLE, models.LOG)
    engine = opened(concurrency=1)
    gate = gates.close(engine, "double")
    engine.model("double").config = AT_ONCE

    async def run() -> list[Any]:
        stuck = start_requests(engine, "double", ROW)
        await asyncio.to_thread(until, lambda: engine.stuck)
        return await collect([*stuck, _run_log(engine)])

    stuck, other = asyncio.run(run())
    assert isinstance(stuck, DeadlineExceededError)
    assert other["y"].tolist() == [0.0]
    assert engine.stuck == "runs of model `double` version `1` do not end"
    assert engine.count_pending() == 0
    gate.open()
    until(lambda: engine.stuck is None)


@pytest.mark.usefixtures("patience")
def test_closing_leaves_behind_what_is_stuck(tmp_path: Path, opened: Opened, gates: Gates) -> None:
    put(tmp_path, models.DOUBLE)
    engine = opened(concurrency=1)
    gate = gates.close(engine, "double")
    engine.model("double").config = AT_ONCE
    with pytest.raises(DeadlineExceededError):
        asyncio.run(engine.run(engine.model("double"), {"x": ROW}))
    engine.close()
    assert gate.rows == [1]


@pytest.mark.usefixtures("patience")
def test_endless_runs_hold_up_their_own_model_only(tmp_path: Path, opened: Opened, gates: Gates) -> None:
    put(tmp_path, models.DOUBLE, models.LOG)
    engine = opened(concurrency=2)
    gate = gates.close(engine, "double")
    before = _count_threads()

    async def run() -> None:
        endless = start_requests(engine, "double", *[ROW] * 4)
        for _ in range(2):
            await asyncio.to_thread(gate.wait_for_a_run)
        for _ in range(3):
            assert (await _run_log(engine))["y"].tolist() == [0.0]
        assert len(gate.rows) == 2
        assert engine.queue_depths() == {("double", "1"): 2, ("log", "1"): 0}
        gate.open()
        await collect(endless)

    asyncio.run(run())
    assert gate.rows == [1] * 4
    until(lambda: _count_threads() == before)


@pytest.mark.usefixtures("patience")
def test_a_run_that_lasts_keeps_its_place_while_nobody_else_waits(
    tmp_path: Path, opened: Opened, gates: Gates
) -> None:
    put(tmp_path, models.DOUBLE)
    engine = opened(concurrency=1)
    gate = gates.close(engine, "double")
    before = _count_threads()

    async def run() -> None:
        lasting = start_requests(engine, "double", ROW, ROW)
        await asyncio.to_thread(gate.wait_for_a_run)
        await asyncio.sleep(0.3)  # in which its place would be given away
        assert _count_threads() == before
        gate.open()
        await collect(lasting)

    asyncio.run(run())


@pytest.mark.usefixtures("patience")
def test_no_more_threads_are_started_than_are_spare(
    tmp_path: Path, opened: Opened, gates: Gates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.engine.run_threads.MIN_SPARE_THREADS", 1)
    put(tmp_path, models.DOUBLE, models.LOG, models.TOTAL)
    engine = opened(concurrency=1)
    first, second = gates.close(engine, "double"), gates.close(engine, "total")
    before = _count_threads()

    async def run() -> None:
        endless = start_requests(engine, "double", ROW)
        await asyncio.to_thread(first.wait_for_a_run)
        endless += start_requests(engine, "total", ROW)
        await asyncio.to_thread(second.wait_for_a_run)
        other = _run_log(engine)
        await asyncio.sleep(0.2)  # in which a further thread would start
        assert (other.done(), _count_threads()) == (False, before + 1)
        first.open()
        assert (await other)["y"].tolist() == [0.0]
        second.open()
        await collect(endless)

    asyncio.run(run())
    until(lambda: _count_threads() == before)
