import asyncio
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from onnxruntime import RunOptions

from serve.engine import Engine, Metrics, open_engine
from serve.engine.errors import (
    EngineError,
    InvalidInputError,
    ModelUnavailableError,
    RepositoryError,
    RunFailedError,
    UnknownModelError,
)
from serve.engine.model import ServedModel
from serve.engine.run_cost import RunCost
from serve.engine.signature import Array
from tests.serve import models
from tests.serve.conftest import options
from tests.serve.engine.conftest import Opened
from tests.serve.engine.gate import Gate
from tests.serve.engine.requests import ROW, collect, put, start_requests, wait_until_running


def _infer(engine: Engine, name: str, outputs: list[str] | None = None, **inputs: Array) -> dict[str, Array]:
    return asyncio.run(engine.run(engine.model(name), inputs, outputs))


@pytest.mark.slow
def test_a_run_gives_every_output_by_name(engine: Engine) -> None:
    left, right = np.array([[1, 2, 3, 4]], np.int32), np.array([[1, 1, 1, 1]], np.int32)
    got = _infer(engine, "add_sub", INPUT0=left, INPUT1=right)
    assert {name: array.tolist() for name, array in got.items()} == {
        "OUTPUT0": [[2, 3, 4, 5]],
        "OUTPUT1": [[0, 1, 2, 3]],
    }


def test_a_run_gives_only_the_outputs_asked_for(engine: Engine) -> None:
    ones = np.ones((1, 4), np.int32)
    assert list(_infer(engine, "add_sub", ["OUTPUT1"], INPUT0=ones, INPUT1=ones)) == ["OUTPUT1"]


def test_the_highest_version_answers_unless_another_is_named(engine: Engine) -> None:
    assert engine.versions("double") == ["1", "2", "10"]
    assert engine.model("double").version == "10"
    assert engine.model("double", "2").version == "2"


@pytest.mark.parametrize("size", [0, 1, 1000])
def test_any_batch_size_runs(engine: Engine, size: int) -> None:
    assert _infer(engine, "double", x=np.ones((size, 3), np.float32))["y"].tolist() == [[2, 2, 2]] * size


@pytest.mark.parametrize(
    ("name", "version", "message"),
    [
        ("nope", None, "Request for unknown model: `nope` is not found; models: `add_sub`, `classifier`"),
        ("nope", "1", "Request for unknown model: `nope` is not found"),
        (
            "double",
            "3",
            "Request for unknown model: `double` version `3` is not found; versions: `1`, `2`, `10`",
        ),
        (
            "double",
            "stable",
            "Request for unknown model: `double` version `stable` is not found; versions: `1`, `2`, `10`; "
            "aliases: none",
        ),
        ("double", "01", "Request for unknown model: `double` version `01` is not found"),
        ("n" * 5000, None, f"Request for unknown model: `{'n' * 100}...` is not found"),
        ("\x00\x1b\n", None, "Request for unknown model: `???` is not found"),
    ],
)
def test_unknown_models_and_versions_are_named(
    engine: Engine, name: str, version: str | None, message: str
) -> None:
    with pytest.raises(UnknownModelError) as error:
        engine.model(name, version)
    assert str(error.value).startswith(message)


def test_inputs_are_checked_before_anything_runs(engine: Engine) -> None:
    with pytest.raises(InvalidInputError, match="wrong datatype"):
        _infer(engine, "double", x=ROW.astype(np.float64))
    with pytest.raises(InvalidInputError, match="no output `z`"):
        _infer(engine, "double", ["z"], x=ROW)


def test_values_that_the_model_refuses_are_the_callers_error(engine: Engine) -> None:
    with pytest.raises(InvalidInputError) as error:
        _infer(engine, "lookup", index=np.array([7]))
    assert str(error.value) == (
        "model `lookup` version `1` cannot run on these values: "
        "indices element out of data bounds, idx=7 must be within the inclusive range [-3,2]"
    )


def test_why_a_run_failed_is_logged_and_not_told(
    tmp_path: Path, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    # The symbols differ, so only the operator itself can see that the sizes do not fit.
    models.put(tmp_path, "m", models.model("m (float[N] a, float[M] b) => (float[K] y) { y = Add(a, b) }"))
    engine = open_engine(options(tmp_path), metrics)
    with pytest.raises(RunFailedError) as error:
        _infer(engine, "m", a=np.zeros(3, np.float32), b=np.zeros(2, np.float32))
    assert str(error.value) == "model `m` version `1` failed while running; the server's log says why"
    assert "running Add node" in caplog.text
    engine.close()


def test_a_slow_model_does_not_block_the_event_loop(engine: Engine) -> None:
    async def ticks_while_running() -> int:
        ticks, running = (
            0,
            asyncio.ensure_future(engine.run(engine.model("slow"), {"x": np.ones(1, np.float32)})),
        )
        while not running.done():
            await asyncio.sleep(0.001)
            ticks += 1
        return ticks

    # One that is held up ticks once, and then finds that it is over.
    assert asyncio.run(ticks_while_running()) > 2


def test_a_short_model_runs_on_the_event_loop_itself(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    model = engine.model("double")
    threads: list[threading.Thread] = []
    run = model.run

    def watched(inputs: Mapping[str, Array], outputs: Sequence[str], *options: RunOptions) -> list[Array]:
        threads.append(threading.current_thread())
        return run(inputs, outputs, *options)

    monkeypatch.setattr(model, "run", watched)
    for seconds_per_element in (1e-7, 1.0):
        monkeypatch.setattr(model, "cost", RunCost(seconds_per_element))
        _infer(engine, "double", x=ROW)
    assert threads[0] is threading.main_thread()
    assert threads[1].name.startswith("adaptact-run")


def test_no_more_long_runs_than_allowed_go_on_at_once(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, models.DOUBLE)
    engine = opened(concurrency=2)
    gate = Gate(engine.model("double"), monkeypatch, joins=False)

    async def five() -> None:
        begun = start_requests(engine, "double", *[ROW] * 5)
        for _ in range(2):
            await asyncio.to_thread(gate.wait_for_a_run)
        await asyncio.sleep(0.1)  # in which a third would begin
        assert (len(gate.rows), engine.queue_depths()) == (2, {("double", "1"): 3})
        gate.open()
        await collect(begun)

    asyncio.run(five())
    assert gate.rows == [1] * 5


@pytest.fixture
def half_broken(tmp_path: Path, metrics: Metrics) -> Iterator[Engine]:
    models.put(tmp_path, "good", models.model(models.DOUBLE))
    models.put(tmp_path, "good", b"rubbish", "2")
    models.put(tmp_path, "bad", b"rubbish")
    opened = open_engine(options(tmp_path), metrics)
    yield opened
    opened.close()


def test_a_broken_model_is_named_and_the_others_serve(half_broken: Engine) -> None:
    broken = [(entry.name, entry.version) for entry in half_broken.index() if entry.state == "UNAVAILABLE"]
    assert broken == [("bad", "1"), ("good", "2")]
    assert not half_broken.ready
    assert _infer(half_broken, "good", x=ROW)["y"].tolist() == [[2, 4, 6]]


@pytest.mark.parametrize(("name", "version"), [("bad", None), ("bad", "1"), ("good", "2")])
def test_a_broken_model_is_unavailable_with_a_reason(
    half_broken: Engine, name: str, version: str | None
) -> None:
    with pytest.raises(ModelUnavailableError, match="is not ready: ONNX Runtime cannot load it"):
        half_broken.model(name, version)


def test_readiness_is_measured_for_every_version(half_broken: Engine, metrics: Metrics) -> None:
    ready = {
        (sample.labels["model"], sample.labels["version"]): sample.value
        for family in metrics.registry.collect()
        if family.name == "adaptact_model_ready"
        for sample in family.samples
    }
    assert ready == {("bad", "1"): 0, ("good", "1"): 1, ("good", "2"): 0}


def test_why_a_model_is_broken_is_logged(
    tmp_path: Path, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    models.put(tmp_path, "bad", models.model(models.UNKNOWN_OPERATOR))
    with (
        caplog.at_level(logging.ERROR),
        pytest.raises(RepositoryError, match=r"no model in .* can be served"),
    ):
        open_engine(options(tmp_path), metrics)
    assert "No Op registered for Nonsense" in caplog.text


def test_closing_ends_the_runs_in_progress(tmp_path: Path, metrics: Metrics) -> None:
    models.put(tmp_path, "slow", models.slow_model(turns=10**12))
    engine = _open_without_warm_up(tmp_path, metrics)

    async def closed_while_running() -> EngineError | None:
        running = asyncio.ensure_future(engine.run(engine.model("slow"), {"x": np.ones(1, np.float32)}))
        await wait_until_running(engine)
        await asyncio.to_thread(engine.close)
        try:
            await running
        except EngineError as error:
            return error
        return None

    assert isinstance(asyncio.run(closed_while_running()), ModelUnavailableError)


def _open_without_warm_up(folder: Path, metrics: Metrics) -> Engine:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ServedModel, "_warm_up", lambda *_: 1.0)
        patch.setattr(ServedModel, "_can_join", lambda *_: False)
        return open_engine(options(folder), metrics)
