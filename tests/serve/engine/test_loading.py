import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from serve.engine.config import ModelConfig
from serve.engine.errors import DrainingError, HungLoadError, ModelRefusedError
from serve.engine.lifecycle import ModelLifecycle
from serve.engine.loading import Cancellation, LoadThread
from serve.engine.metrics import Metrics
from serve.engine.model_loader import ModelLoader
from tests.serve import models
from tests.serve.engine.conftest import Opened
from tests.serve.engine.loading import load_model
from tests.serve.engine.requests import ROW, put
from tests.waiting import SECONDS, until

LONG_TURNS = 10**12  # days
# No turn for zeros, and days for anything else.
ENDLESS_ON_ONES = """endless (int64[N] x) => (int64[N] y) {
    many = Constant<value = int64 {1000000000000}>()
    go_on = Constant<value = bool {1}>()
    most = ReduceMax<keepdims = 0>(x)
    turns = Mul(most, many)
    y = Loop(turns, go_on, x) <body = turn (int64 i, bool go, int64[N] v) => (bool going, int64[N] w) {
        going = Identity(go)
        w = Neg(v)
    }>
}"""


@pytest.fixture
def block(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Set after the test at the latest; a load that waits for it is soon given up."""
    monkeypatch.setattr("serve.engine.loading.STUCK_SECONDS", 0.05)
    event = threading.Event()
    yield event
    event.set()


def _wait_for_cancellation(cancellation: Cancellation) -> NoReturn:
    event = threading.Event()
    cancellation.on_cancel(event.set)
    assert event.wait(SECONDS)
    raise ModelRefusedError("ONNX Runtime cannot load it")


def _wait(event: threading.Event) -> None:
    assert event.wait(SECONDS)


def test_a_load_returns_or_raises_as_it_would_in_the_callers_thread() -> None:
    thread = LoadThread(SECONDS)
    assert thread.run("m", lambda _: 7) == 7
    with pytest.raises(ZeroDivisionError):
        thread.run("m", lambda _: 1 / 0)
    thread.close()


def test_a_load_is_ended_at_the_deadline() -> None:
    thread = LoadThread(0.05)
    with pytest.raises(
        ModelRefusedError, match=r"more than 0.05 s, the limit of `--load-seconds`; raise that"
    ):
        thread.run("m", _wait_for_cancellation)
    assert thread.stuck is None
    thread.close()


def test_a_load_that_does_not_end_is_given_up_and_the_next_one_begins(block: threading.Event) -> None:
    thread = LoadThread(0.05)
    with pytest.raises(HungLoadError, match="could not be ended"):
        thread.run("model `m`", lambda _: _wait(block))
    assert thread.stuck == "loads of model `m` do not end"
    with pytest.raises(ModelRefusedError, match="raise that if it needs longer"):
        thread.run("m", _wait_for_cancellation)
    block.set()
    until(lambda: thread.stuck is None)
    thread.close()


def test_no_load_begins_once_many_were_given_up(
    block: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.engine.loading.MAX_GIVEN_UP", 1)
    thread = LoadThread(0.05)
    with pytest.raises(HungLoadError):
        thread.run("m", lambda _: _wait(block))
    with pytest.raises(ModelRefusedError, match="1 loads before it do not end; restart the server"):
        thread.run("m", lambda _: 7)
    thread.close()


def test_closing_ends_the_load_that_goes_on_and_refuses_others() -> None:
    thread = LoadThread(SECONDS)

    def load(cancellation: Cancellation) -> None:
        thread.close()
        _wait_for_cancellation(cancellation)

    for attempt in (load, _wait_for_cancellation):
        with pytest.raises(DrainingError, match="loads nothing"):
            thread.run("m", attempt)


def test_a_load_that_comes_while_the_thread_is_closed_is_refused_at_once(
    block: threading.Event, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    thread = LoadThread(60.0)

    def close() -> list[str]:
        thread.close()
        return []

    monkeypatch.setattr(thread, "_find_stuck", close)  # in the midst of `run`
    with pytest.raises(DrainingError):
        thread.run("model `m`", lambda cancellation: None)
    assert not caplog.records


def test_a_load_that_takes_long_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("serve.engine.loading.PROGRESS_SECONDS", 0.01)
    monkeypatch.setattr("serve.engine.loading.CHECK_SECONDS", 0.01)
    thread = LoadThread(SECONDS)
    thread.run("model `m`", lambda _: until(lambda: caplog.messages))
    assert caplog.messages[0] == f"model `m`: loading for 0 s; its limit is {SECONDS:g} s"
    thread.close()


def test_an_endless_model_is_refused_and_the_others_serve(tmp_path: Path, opened: Opened) -> None:
    put(tmp_path, models.DOUBLE)
    models.put(tmp_path, "slow", models.slow_model(LONG_TURNS))
    (tmp_path / "slow" / "config.toml").write_text("run_seconds = 0.05\n")
    engine = opened()
    assert asyncio.run(engine.run(engine.model("double"), {"x": ROW}))["y"].tolist() == [[2, 4, 6]]
    [reason] = [entry.reason for entry in engine.index() if entry.name == "slow"]
    assert (
        reason
        == "a run on zeros took more than 0.05 s, its `run_seconds`; raise that if its runs need longer"
    )


def test_trial_runs_are_ended_at_the_deadline_of_the_load(tmp_path: Path, opened: Opened) -> None:
    models.put(tmp_path, "slow", models.slow_model(LONG_TURNS))
    engine = opened(load_seconds=0.1, may_start_empty=True)
    [entry] = engine.index()
    assert entry.reason.startswith("loading it took more than 0.1 s")
    assert engine.stuck is None
    assert engine.hung_files() == ()


@pytest.mark.slow
def test_a_model_that_is_endless_on_some_values_is_not_joined(tmp_path: Path, metrics: Metrics) -> None:
    model = load_model(tmp_path, models.model(ENDLESS_ON_ONES), metrics, ModelConfig(run_seconds=1.0))
    assert not model.joins


def test_a_file_whose_load_hangs_is_not_tried_again(
    tmp_path: Path, opened: Opened, block: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, models.DOUBLE)
    tried: list[object] = []

    def hang(files: object, *_: object, **__: object) -> None:
        tried.append(files)
        _wait(block)

    monkeypatch.setattr("serve.engine.model_loader.Session", hang)
    engine = opened(load_seconds=0.05, may_start_empty=True)
    assert engine.stuck == "loads of model `double` version `1` do not end"
    [hung] = engine.hung_files()
    assert (hung.name, hung.version) == ("double", "1")
    with pytest.raises(ModelRefusedError, match="is not tried again until its files change"):
        asyncio.run(engine.load("double"))
    assert len(tried) == 1


def test_a_start_that_is_interrupted_ends_its_loads(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[ModelLoader] = []

    def note(loader: ModelLoader) -> None:
        ended.append(loader)

    def interrupt(_: ModelLifecycle) -> NoReturn:
        raise SystemExit(0)

    monkeypatch.setattr(ModelLifecycle, "load_all", interrupt)
    monkeypatch.setattr("serve.engine.model_loader.ModelLoader.close", note)
    with pytest.raises(SystemExit):
        opened()
    assert len(ended) == 1
