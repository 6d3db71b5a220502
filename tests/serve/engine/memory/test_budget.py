import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest

from serve.engine import Engine
from serve.engine.errors import (
    DrainingError,
    ModelUnavailableError,
    ModelUnloadedError,
    UnknownModelError,
)
from serve.engine.memory import budget
from serve.engine.memory.amounts import LEAST, ModelMemory
from serve.engine.memory.collector import MEMORY, TOGETHER
from serve.engine.memory.options import MemoryOptions
from tests.serve import models
from tests.serve.engine.conftest import Opened
from tests.serve.engine.memory.budgets import TWO, ask, put_models, run
from tests.serve.engine.repositories import load, make_scaling_model, put_scaling_model, read_states

pytestmark = pytest.mark.usefixtures("of_equal_size")


def test_a_hundred_models_answer_with_room_for_two(opened: Opened, tmp_path: Path) -> None:
    put_models(tmp_path, 100)
    engine = opened(memory=TWO)
    assert engine.names() == ["m0", "m1"]
    assert engine.ready

    async def ask_all() -> list[float]:
        answers = []
        for number in (*range(0, 100, 9), 0):
            answers.append(await ask(engine, f"m{number}"))
            assert len(engine.names()) <= 2
        return answers

    assert asyncio.run(ask_all()) == [float(number) for number in (*range(0, 100, 9), 0)]
    assert engine.ready
    text = generate_latest(engine.metrics.registry).decode()
    assert 'adaptact_model_evictions_total{model="m9"} 1.0' in text
    assert 'adaptact_model_loads_on_demand_total{model="m99"} 1.0' in text
    assert 'adaptact_model_memory_bytes{model="m0",version="1"} 1.048576e+06' in text
    assert "adaptact_model_memory_limit_bytes 3.04087e+06" in text


def test_the_model_used_longest_ago_goes(opened: Opened, tmp_path: Path) -> None:
    put_models(tmp_path, 4)
    engine = opened(memory=TWO)

    async def ask_each() -> None:
        await ask(engine, "m1")
        await asyncio.sleep(0.01)
        await ask(engine, "m0")
        await ask(engine, "m2")

    asyncio.run(ask_each())
    assert engine.names() == ["m0", "m2"]


def test_an_unloaded_model_says_so(opened: Opened, tmp_path: Path) -> None:
    put_models(tmp_path, 3)
    engine = opened(memory=TWO)
    assert read_states(engine)["m2", "1"] == "UNAVAILABLE"
    with pytest.raises(ModelUnloadedError, match="is not ready: unloaded to make room; a request loads it"):
        engine.model("m2")
    assert engine.memory.find("m2", "1") is None
    with pytest.raises(UnknownModelError, match="versions: `1`;"):
        engine.memory.find("m2", "7")
    with pytest.raises(UnknownModelError, match="models: `m0`, `m1`, `m2`"):
        engine.memory.find("m3", None)


def test_fifty_clients_that_ask_at_once_start_one_load(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_models(tmp_path, 3)
    engine = opened(memory=TWO)
    loaded = note_loads(engine, monkeypatch)
    assert run(*(ask(engine, "m2") for _ in range(50))) == [2.0] * 50
    assert loaded == ["m2"]


def note_loads(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    loaded, load_one = [], engine._loader.load

    def note(file: Any, config: Any) -> Any:
        loaded.append(file.name)
        return load_one(file, config)

    monkeypatch.setattr(engine._loader, "load", note)
    return loaded


def test_a_load_that_takes_long_is_not_waited_for(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_models(tmp_path, 3)
    engine, go_on = opened(memory=TWO), threading.Event()
    load_one = engine._loader.load

    def hang(*given: Any) -> Any:
        go_on.wait(60)
        return load_one(*given)

    monkeypatch.setattr(engine._loader, "load", hang)
    monkeypatch.setattr(budget, "WAIT_SECONDS", 0.05)

    async def ask_twice() -> float:
        with pytest.raises(ModelUnloadedError, match="is being loaded; try again") as refused:
            await ask(engine, "m2")
        assert refused.value.retry_after_seconds >= 1
        task = engine.memory.begin_load("m2")
        assert engine.ready  # what it loads is no reason for a load balancer to leave it
        go_on.set()
        await task
        return await ask(engine, "m2")

    assert asyncio.run(ask_twice()) == 2.0


def test_a_model_that_runs_stays(opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_models(tmp_path, 3)
    engine = opened(memory=MemoryOptions(int(1.9 * LEAST)))
    monkeypatch.setattr(engine._run_queue, "count_pending", lambda model=None: 1)
    with pytest.raises(ModelUnloadedError, match="in use or pinned"):
        run(ask(engine, "m2"))
    assert engine.names() == ["m0"]


def test_pinned_models_and_those_of_experiments_stay(opened: Opened, tmp_path: Path) -> None:
    put_models(tmp_path, 4)
    (tmp_path / "m3" / "config.toml").write_text("pinned = true\n")
    engine = opened(memory=TWO)
    assert engine.names() == ["m0", "m3"]
    engine.memory.pins = lambda: {"m0"}
    with pytest.raises(ModelUnloadedError, match="in use or pinned"):
        run(ask(engine, "m1"))
    engine.memory.pins = frozenset
    assert run(ask(engine, "m1")) == [1.0]
    assert engine.names() == ["m1", "m3"]


def test_a_model_larger_than_the_budget_is_refused_with_numbers(opened: Opened, tmp_path: Path) -> None:
    put_models(tmp_path, 1)
    made = make_scaling_model(9.0)
    made.metadata_props.add(key="filling", value="x" * 3 * LEAST)
    models.put(tmp_path, "large", made)
    engine = opened(memory=TWO)
    with pytest.raises(ModelUnavailableError, match="at least 3 MiB; `--model-memory` is 3 MiB") as refused:
        run(ask(engine, "large"))
    assert not isinstance(refused.value, ModelUnloadedError)
    assert engine.names() == ["m0"]


def test_who_waits_for_a_load_as_the_server_ends_is_told(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_models(tmp_path, 3)
    engine, go_on = opened(memory=TWO), threading.Event()

    async def end() -> None:
        engine._changes.submit(go_on.wait, 60)
        asked = asyncio.ensure_future(ask(engine, "m2"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        engine._changes.shutdown(wait=False, cancel_futures=True)
        with pytest.raises(DrainingError, match="about to end"):
            await asked

    try:
        asyncio.run(end())
    finally:
        go_on.set()


def test_a_budget_smaller_than_any_model_serves_none(opened: Opened, tmp_path: Path) -> None:
    put_models(tmp_path, 2)
    engine = opened(memory=MemoryOptions(1), may_start_empty=True)
    assert engine.names() == []
    with pytest.raises(ModelUnavailableError, match="`--model-memory` is 0 MiB"):
        run(ask(engine, "m0"))


def test_one_that_turns_out_too_large_is_refused(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_models(tmp_path, 1)
    large = ModelMemory(0, 5 * LEAST)
    monkeypatch.setattr("serve.engine.model_loader.measure_memory", lambda *_, **__: large)
    engine = opened(memory=TWO, may_start_empty=True)
    (entry,) = engine.index()
    assert entry.reason == "it takes 5 MiB; `--model-memory` is 3 MiB"


def test_an_operators_load_makes_room_and_an_unloaded_model_is_not_brought_back(
    opened: Opened, tmp_path: Path
) -> None:
    put_models(tmp_path, 3)
    engine = opened(memory=TWO)
    load(engine, "m2")
    assert len(engine.names()) == 2
    assert "m2" in engine.names()
    asyncio.run(engine.unload("m2"))
    with pytest.raises(ModelUnavailableError, match="is not ready: unloaded") as refused:
        run(ask(engine, "m2"))
    assert not isinstance(refused.value, ModelUnloadedError)


def test_loads_unloads_and_requests_at_once_end_within_the_budget(opened: Opened, tmp_path: Path) -> None:
    put_models(tmp_path, 5)
    engine = opened(memory=TWO)

    async def try_(call: Callable[[], Awaitable[Any]]) -> None:
        with suppress(ModelUnavailableError):
            await call()

    calls = []
    for number in range(5):
        name = f"m{number}"
        calls += [try_(lambda name=name: ask(engine, name)) for _ in range(4)]  # type: ignore[misc]
        calls += [try_(lambda name=name: engine.load(name)), try_(lambda name=name: engine.unload(name))]  # type: ignore[misc]
    run(*calls)
    for number in range(5):
        load(engine, f"m{number}")
    assert run(ask(engine, "m0")) == [0.0]
    assert len(engine.names()) <= 2


def test_files_that_change_while_a_model_is_unloaded_are_what_is_loaded(
    opened: Opened, tmp_path: Path
) -> None:
    put_models(tmp_path, 3)
    engine = opened(memory=TWO)
    put_scaling_model(tmp_path, 20.0, name="m2")
    put_scaling_model(tmp_path, 30.0, "2", name="m2")
    for _ in range(2):
        engine._lifecycle.follow_folder()
    assert engine.names() == ["m0", "m1"]
    assert read_states(engine)["m2", "2"] == "UNAVAILABLE"
    assert run(ask(engine, "m2"), ask(engine, "m2", "1")) == [30.0, 20.0]


def test_an_unloaded_model_whose_files_go_is_unknown(opened: Opened, tmp_path: Path) -> None:
    put_models(tmp_path, 3)
    engine = opened(memory=TWO)
    (tmp_path / "m2" / "1" / "model.onnx").unlink()
    (tmp_path / "m2" / "1").rmdir()
    (tmp_path / "m2").rmdir()
    with pytest.raises(UnknownModelError):
        run(ask(engine, "m2"))


def test_an_unloaded_model_whose_file_is_damaged_is_refused_like_any(opened: Opened, tmp_path: Path) -> None:
    put_models(tmp_path, 3)
    engine = opened(memory=TWO)
    (tmp_path / "m2" / "1" / "model.onnx").write_bytes(b"no model")
    with pytest.raises(ModelUnavailableError, match="ONNX Runtime cannot load it"):
        run(ask(engine, "m2"))


def test_a_model_that_is_required_without_a_request_is_loaded_soon(opened: Opened, tmp_path: Path) -> None:
    put_models(tmp_path, 3)
    engine = opened(memory=TWO)
    assert engine.memory.require("m0", None).name == "m0"
    with pytest.raises(ModelUnloadedError):
        engine.memory.require("m2", None)

    async def load_wanted() -> None:
        engine.memory.load_wanted()
        await engine.memory.begin_load("m2")

    asyncio.run(load_wanted())
    assert engine.memory.require("m2", None).name == "m2"
    assert engine.memory.wanted == set()


def test_a_model_that_is_alone_is_loaded_whatever_is_expected_of_it(opened: Opened, tmp_path: Path) -> None:
    put_models(tmp_path, 2)
    # A file of some hundred bytes is expected to take more than LEAST.
    engine = opened(memory=MemoryOptions(LEAST))
    assert engine.names() == ["m0"]
    assert run(ask(engine, "m1")) == [1.0]
    assert engine.names() == ["m1"]


def test_the_page_names_every_series() -> None:
    page = (Path(__file__).parents[4] / "docs" / "observability.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in page for name in (MEMORY, *TOGETHER))
