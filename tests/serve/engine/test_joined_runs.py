import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serve.engine.config import ModelConfig
from serve.engine.errors import (
    InvalidInputError,
)
from serve.engine.run_cost import RunCost
from tests.serve import models
from tests.serve.engine.conftest import Opened
from tests.serve.engine.gate import Gate
from tests.serve.engine.requests import ROW, collect, put, run_behind, start_requests


def test_requests_that_wait_are_joined_into_the_next_run(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, models.DOUBLE)
    engine = opened(concurrency=1)
    gate = Gate(engine.model("double"), monkeypatch)
    got = asyncio.run(run_behind(engine, gate, "double", ROW, ROW + 1, np.tile(ROW, (2, 1)), ROW + 3))
    assert gate.rows == [1, 4]
    assert [answer["y"].tolist() for answer in got] == [
        [[2, 4, 6]],
        [[4, 6, 8]],
        [[2, 4, 6], [2, 4, 6]],
        [[8, 10, 12]],
    ]
    [statistics] = engine.own_statistics("double")
    stats = statistics.inference_stats
    assert (stats.success.count, statistics.execution_count, statistics.inference_count) == (4, 2, 5)
    assert {batch.batch_size: batch.compute_infer.count for batch in statistics.batch_stats} == {1: 1, 4: 1}
    assert stats.compute_input.ns > 0
    assert stats.queue.ns > 0
    assert engine.queue_depths() == {("double", "1"): 0}


def test_where_joining_hardly_pays_a_long_queue_is_joined_in_part(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, models.DOUBLE)
    engine = opened(concurrency=1)
    model = engine.model("double")
    gate = Gate(model, monkeypatch)
    monkeypatch.setattr(model, "cost", RunCost(1.0, queued_seconds_per_element=1e-4))
    monkeypatch.setattr(model, "joins_few", True)
    got = asyncio.run(run_behind(engine, gate, "double", *(ROW + number for number in range(10))))
    assert gate.rows == [1, 2, *[1] * 7]
    assert [answer["y"].tolist() for answer in got] == [(2 * (ROW + number)).tolist() for number in range(10)]


def test_a_request_that_finds_a_free_session_waits_for_nobody(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, models.DOUBLE)
    engine = opened(concurrency=3)
    gate = Gate(engine.model("double"), monkeypatch)

    async def three() -> None:
        begun = []
        for _ in range(3):
            begun += start_requests(engine, "double", ROW)
            await asyncio.to_thread(gate.wait_for_a_run)  # while those before it still run
        gate.open()
        await collect(begun)

    asyncio.run(three())
    assert gate.rows == [1, 1, 1]


def test_joined_runs_have_no_more_rows_than_allowed(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, models.DOUBLE)
    engine = opened(concurrency=1, defaults=ModelConfig(batch_rows=4))
    gate = Gate(engine.model("double"), monkeypatch)
    rows = [np.tile(ROW, (count, 1)) for count in (1, 2, 1, 2, 9, 1)]
    got = asyncio.run(run_behind(engine, gate, "double", *rows))
    assert [len(answer["y"]) for answer in got] == [1, 2, 1, 2, 9, 1]
    assert gate.rows == [1, 3, 3, 9]  # the last one-row request goes with the second pair, past the nine


@pytest.mark.parametrize("joins", [True, False])
def test_only_requests_that_agree_in_all_but_the_rows_are_joined(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch, joins: bool
) -> None:
    put(tmp_path, "wide (float[N, M] x) => (float[N, M] y, float[N, M] z) { y = Add(x, x) z = Neg(x) }")
    engine = opened(concurrency=1)
    gate = Gate(engine.model("wide"), monkeypatch, joins)

    async def mixed() -> list[Any]:
        front = start_requests(engine, "wide", ROW)
        await asyncio.to_thread(gate.wait_for_a_run)
        rest = start_requests(engine, "wide", ROW, ROW[:, :2], ROW[:0])
        rest += start_requests(engine, "wide", ROW, outputs=["z"])
        rest += start_requests(engine, "wide", ROW)
        await asyncio.sleep(0)
        gate.open()
        return await collect(front + rest)

    got = asyncio.run(mixed())
    assert [list(answer) for answer in got] == [["y", "z"]] * 4 + [["z"], ["y", "z"]]
    assert [answer["z"].shape for answer in got] == [(1, 3), (1, 3), (1, 2), (0, 3), (1, 3), (1, 3)]
    assert sorted(gate.rows) == ([0, 1, 1, 1, 2] if joins else [0, 1, 1, 1, 1, 1])


def test_a_request_that_fails_at_the_run_fails_alone(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, models.LOOKUP)
    engine = opened(concurrency=1)
    gate = Gate(engine.model("lookup"), monkeypatch)
    good, bad = np.array([2]), np.array([7])
    got = asyncio.run(run_behind(engine, gate, "lookup", good, good, bad, good))
    assert [answer["y"].tolist() for answer in got if not isinstance(answer, Exception)] == [[3.0]] * 3
    assert isinstance(got[2], InvalidInputError)
    assert "idx=7" in str(got[2])
    assert gate.rows == [1, 3, 1, 1, 1]
    [statistics] = engine.own_statistics("lookup")
    stats = statistics.inference_stats
    assert (stats.success.count, stats.fail.count) == (3, 1)


def test_outputs_without_a_row_for_each_are_run_one_by_one(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "sum (float[N, 3] x) => (float[M, 3] y) { y = ReduceSum(x) }")
    engine = opened(concurrency=1)
    gate = Gate(engine.model("sum"), monkeypatch)
    got = asyncio.run(run_behind(engine, gate, "sum", ROW, ROW, ROW + 1))
    assert [answer["y"].tolist() for answer in got] == [[[6]], [[6]], [[9]]]


def test_an_invalid_request_is_refused_before_joining(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, models.DOUBLE)
    engine = opened(concurrency=1, defaults=ModelConfig(request_rows=2))
    gate = Gate(engine.model("double"), monkeypatch)
    got = asyncio.run(
        run_behind(engine, gate, "double", ROW, ROW.astype(np.float64), ROW[:, :2], np.tile(ROW, (3, 1)), ROW)
    )
    assert [type(answer) for answer in got] == [dict] + [InvalidInputError] * 3 + [dict]
    assert str(got[3]) == "model `double` version `1` takes at most 2 rows in a request, got 3"
    assert gate.rows == [1, 1]


def test_a_joined_run_goes_on_for_those_who_stay(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, models.DOUBLE)
    engine = opened(concurrency=1)
    model = engine.model("double")
    gate = Gate(model, monkeypatch)

    async def one_leaves() -> list[Any]:
        tasks = start_requests(engine, "double", ROW)
        await asyncio.to_thread(gate.wait_for_a_run)
        tasks += start_requests(engine, "double", ROW, ROW)
        await asyncio.sleep(0)
        gate.open(1)
        await asyncio.to_thread(gate.wait_for_a_run)
        tasks[1].cancel()
        await asyncio.sleep(0)
        gate.open()
        return await collect(tasks)

    first, left, stayed = asyncio.run(one_leaves())
    assert gate.rows == [1, 2]
    assert isinstance(left, asyncio.CancelledError)
    assert first["y"].tolist() == stayed["y"].tolist() == [[2, 4, 6]]
