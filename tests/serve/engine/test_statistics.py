"""Each request is counted once: as a success or as a failure, whatever became of what ran for it."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serve.engine import Engine
from serve.engine.errors import DeadlineExceededError
from serve.engine.states import ModelStatistics
from tests.serve import models
from tests.serve.engine.asking import ROW, asked, put, settled
from tests.serve.engine.conftest import Opened
from tests.serve.engine.gate import Gate


@pytest.fixture
def engine(tmp_path: Path, opened: Opened) -> Engine:
    put(tmp_path, models.DOUBLE)
    return opened(concurrency=1)


def of(engine: Engine) -> ModelStatistics:
    [found] = engine.own_statistics("double")
    return found


def counts(found: ModelStatistics) -> tuple[int, int]:
    return found.success.count, found.fail.count


def test_one_that_was_given_up_while_it_waited_or_ran_is_a_failure(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(engine.model("double"), monkeypatch)

    async def given_up() -> list[Any]:
        tasks = asked(engine, "double", ROW)
        await asyncio.to_thread(gate.wait_for_a_run)
        tasks += asked(engine, "double", ROW, ROW)
        await asyncio.sleep(0)
        tasks[0].cancel()
        tasks[1].cancel()
        await asyncio.sleep(0)
        gate.open()
        return await settled(tasks)

    got = asyncio.run(given_up())
    assert [type(each) for each in got] == [asyncio.CancelledError] * 2 + [dict]
    assert counts(of(engine)) == (1, 2)


def test_one_of_several_in_a_run_that_was_given_up_is_a_failure_and_the_rest_are_not(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(engine.model("double"), monkeypatch)

    async def one_leaves() -> None:
        tasks = asked(engine, "double", ROW)
        await asyncio.to_thread(gate.wait_for_a_run)
        tasks += asked(engine, "double", ROW, np.tile(ROW, (2, 1)), ROW)
        await asyncio.sleep(0)
        gate.open(1)
        await asyncio.to_thread(gate.wait_for_a_run)
        tasks[1].cancel()
        await asyncio.sleep(0)
        gate.open()
        await settled(tasks)

    asyncio.run(one_leaves())
    found = of(engine)
    assert counts(found) == (3, 1)
    # Its row was run all the same.
    assert (found.inference_count, found.execution_count) == (5, 2)
    assert found.queue.count == found.compute_infer.count == found.compute_input.count == 3


def test_one_whose_time_is_over_while_it_runs_is_a_failure(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(engine.model("double"), monkeypatch)

    async def too_late() -> list[Any]:
        tasks = asked(engine, "double", ROW, timeout_seconds=0.5)
        await asyncio.to_thread(gate.wait_for_a_run)
        got = await settled(tasks)
        gate.open()
        return got

    assert [type(each) for each in asyncio.run(too_late())] == [DeadlineExceededError]
    assert counts(of(engine)) == (0, 1)
    assert of(engine).fail.ns >= 0.5e9
