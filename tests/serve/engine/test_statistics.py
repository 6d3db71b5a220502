"""Each request is counted once: as a success or as a failure, whatever became of what ran for it."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serve.engine import Engine
from serve.engine.errors import DeadlineExceededError
from serve.engine.statistics import VersionStatistics
from tests.serve import models
from tests.serve.engine.conftest import Opened
from tests.serve.engine.gate import Gate
from tests.serve.engine.requests import ROW, collect, put, start_requests


@pytest.fixture
def engine(tmp_path: Path, opened: Opened) -> Engine:
    put(tmp_path, models.DOUBLE)
    return opened(concurrency=1)


def read_statistics(engine: Engine) -> VersionStatistics:
    [statistics] = engine.own_statistics("double")
    return statistics


def read_counts(engine: Engine) -> tuple[int, int]:
    stats = read_statistics(engine).inference_stats
    return stats.success.count, stats.fail.count


def test_a_cancelled_request_counts_as_failed(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(engine.model("double"), monkeypatch)

    async def given_up() -> list[Any]:
        tasks = start_requests(engine, "double", ROW)
        await asyncio.to_thread(gate.wait_for_a_run)
        tasks += start_requests(engine, "double", ROW, ROW)
        await asyncio.sleep(0)
        tasks[0].cancel()
        tasks[1].cancel()
        await asyncio.sleep(0)
        gate.open()
        return await collect(tasks)

    got = asyncio.run(given_up())
    assert [type(answer) for answer in got] == [asyncio.CancelledError] * 2 + [dict]
    assert read_counts(engine) == (1, 2)


def test_of_a_joined_run_only_the_cancelled_request_failed(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(engine.model("double"), monkeypatch)

    async def one_leaves() -> None:
        tasks = start_requests(engine, "double", ROW)
        await asyncio.to_thread(gate.wait_for_a_run)
        tasks += start_requests(engine, "double", ROW, np.tile(ROW, (2, 1)), ROW)
        await asyncio.sleep(0)
        gate.open(1)
        await asyncio.to_thread(gate.wait_for_a_run)
        tasks[1].cancel()
        await asyncio.sleep(0)
        gate.open()
        await collect(tasks)

    asyncio.run(one_leaves())
    assert read_counts(engine) == (3, 1)
    statistics = read_statistics(engine)
    # Its row was run all the same.
    assert (statistics.inference_count, statistics.execution_count) == (5, 2)
    stats = statistics.inference_stats
    assert stats.queue.count == stats.compute_infer.count == stats.compute_input.count == 3


@pytest.mark.slow
def test_one_whose_time_is_over_while_it_runs_is_a_failure(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(engine.model("double"), monkeypatch)

    async def too_late() -> list[Any]:
        tasks = start_requests(engine, "double", ROW, timeout_seconds=0.5)
        await asyncio.to_thread(gate.wait_for_a_run)
        got = await collect(tasks)
        gate.open()
        return got

    assert [type(answer) for answer in asyncio.run(too_late())] == [DeadlineExceededError]
    assert read_counts(engine) == (0, 1)
    assert read_statistics(engine).inference_stats.fail.ns >= 0.5e9
