import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
import pytest
from onnxruntime import RunOptions

from serve.engine.errors import DeadlineExceededError, ModelUnavailableError
from serve.engine.loop_runs import LoopRuns
from serve.engine.metrics import Metrics
from serve.engine.model import ServedModel
from serve.engine.run_cost import HOP_SECONDS, RunCost
from serve.engine.signature import Array
from tests.serve import models
from tests.serve.engine.conftest import Opened
from tests.serve.engine.loading import load_model
from tests.serve.engine.requests import ROW, collect, start_requests

LONG_TURNS = 10**12  # days


def test_a_value_that_makes_a_run_endless_does_not_hold_up_the_loop(tmp_path: Path, opened: Opened) -> None:
    models.put(tmp_path, "turns", models.model(models.TURNS))
    engine = opened()
    inputs = {"n": np.array(LONG_TURNS), "x": ROW[0]}
    with pytest.raises(DeadlineExceededError, match="were over while it was running"):
        asyncio.run(engine.run(engine.model("turns"), inputs, timeout_seconds=0.1))


@pytest.fixture
def model(tmp_path: Path, metrics: Metrics) -> ServedModel:
    return load_model(tmp_path, models.model(models.DOUBLE), metrics)


def _run(runs: LoopRuns, model: ServedModel) -> list[Array] | None:
    return runs.run(model, {"x": ROW}, ("y",), 1, ROW.size)


def _call_in_run(patch: pytest.MonkeyPatch, model: ServedModel, *calls: Callable[[], None]) -> None:
    """Make the model's run call these, then end as ONNX Runtime's would."""

    def run(_: Mapping[str, Array], __: Sequence[str], options: RunOptions) -> list[Array]:
        for call in calls:
            call()
        if options.terminate:
            raise ModelUnavailableError("ended")
        return [ROW]

    patch.setattr(model, "run", run)


def test_a_run_that_two_checks_see_is_ended(monkeypatch: pytest.MonkeyPatch, model: ServedModel) -> None:
    runs = LoopRuns()
    _call_in_run(monkeypatch, model, runs.check, runs.check)
    assert _run(runs, model) is None
    _call_in_run(monkeypatch, model)
    assert _run(runs, model) == [ROW]


def test_runs_that_two_checks_see_one_after_the_other_go_on(
    monkeypatch: pytest.MonkeyPatch, model: ServedModel
) -> None:
    runs = LoopRuns()
    _call_in_run(monkeypatch, model, runs.check)
    assert [_run(runs, model), _run(runs, model)] == [[ROW], [ROW]]
    runs.check()
    runs.check()
    assert _run(runs, model) == [ROW]


def test_a_model_that_was_held_up_itself_comes_back_to_the_loop(
    monkeypatch: pytest.MonkeyPatch, model: ServedModel
) -> None:
    runs, cost = LoopRuns(), RunCost(1e-9)
    model.cost = cost
    clock = iter((0.0, 10.0))
    monkeypatch.setattr("serve.engine.loop_runs.perf_counter", lambda: next(clock))
    _call_in_run(monkeypatch, model, runs.check, runs.check)
    assert _run(runs, model) is None
    for _ in range(20):
        assert not cost.is_short(ROW.size)
        cost.observe(ROW.size, seconds=1e-5)
    for _ in range(200):
        cost.observe(ROW.size, seconds=1e-5)
    assert cost.is_short(ROW.size)


def _time_run(
    monkeypatch: pytest.MonkeyPatch, model: ServedModel, by_clock: float, in_processor_time: float
) -> None:
    """Run it for so many seconds by the clock, and so many of the processor."""
    passed, used = iter((0.0, by_clock)), iter((0.0, in_processor_time))
    monkeypatch.setattr("serve.engine.loop_runs.perf_counter", lambda: next(passed))
    monkeypatch.setattr(model, "clock", lambda: next(used))
    _run(LoopRuns(), model)


def test_a_model_whose_runs_others_hold_up_stays_on_the_loop(
    monkeypatch: pytest.MonkeyPatch, model: ServedModel
) -> None:
    model.cost = cost = RunCost(1e-6 / ROW.size)
    _call_in_run(monkeypatch, model)
    for _ in range(200):
        _time_run(monkeypatch, model, 5e-3, 2e-6)
    assert cost.is_short(ROW.size)


def test_a_model_whose_runs_take_processor_time_leaves_the_loop(
    monkeypatch: pytest.MonkeyPatch, model: ServedModel
) -> None:
    model.cost = cost = RunCost(1e-6 / ROW.size)
    _call_in_run(monkeypatch, model)
    for _ in range(30):
        _time_run(monkeypatch, model, 5e-3, 5e-3)
    assert not cost.is_short(ROW.size)


def test_a_model_whose_runs_in_threads_others_hold_up_comes_back_to_the_loop(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.put(tmp_path, "double", models.model(models.DOUBLE))
    engine = opened()
    model = engine.model("double")
    model.cost = RunCost(1.2 * HOP_SECONDS / ROW.size)

    def run(*_: object) -> list[Array]:
        sleep(2 * HOP_SECONDS)
        return [ROW]

    monkeypatch.setattr(model, "run", run)
    monkeypatch.setattr(model, "clock", lambda: 0.0)
    for _ in range(2):
        asyncio.run(engine.run(model, {"x": ROW}))
    assert model.cost.is_short(ROW.size)


@pytest.mark.slow
def test_a_run_that_was_thought_short_leaves_the_loop_and_goes_on_in_a_thread(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.engine.model.ServedModel._warm_up", lambda *_: 1.0)
    monkeypatch.setattr("serve.engine.model.ServedModel._can_join", lambda *_: False)
    models.put(tmp_path, "slow", models.slow_model(turns=LONG_TURNS))
    engine = opened(concurrency=1)
    slow = engine.model("slow")
    slow.cost = RunCost(1e-9)

    async def run() -> list[Any]:
        return await collect(start_requests(engine, "slow", ROW[0], timeout_seconds=0.3))

    [error] = asyncio.run(run())
    assert isinstance(error, DeadlineExceededError)
    assert not slow.cost.is_short(1)
