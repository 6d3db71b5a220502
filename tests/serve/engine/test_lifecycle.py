import asyncio
import gc
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import psutil
import pytest
from onnx import numpy_helper

from adaptact.memory import release_free_memory
from serve.engine.config import ModelConfig
from serve.engine.errors import (
    ConfigError,
    ModelRefusedError,
    ModelUnavailableError,
    ProviderError,
    RepositoryError,
    UnknownModelError,
)
from serve.engine.run_cost import RunCost
from tests.serve import models
from tests.serve.engine.conftest import Opened
from tests.serve.engine.gate import Gate
from tests.serve.engine.repositories import ROW, load, put_scaling_model, read_factor, read_states
from tests.serve.engine.requests import wait_until_running
from tests.waiting import until

MEBIBYTE = 2**20
POLL = 0.02


@pytest.mark.slow
@pytest.mark.parametrize("cost", [0.0, 1.0], ids=["on the event loop", "in threads"])
def test_models_are_swapped_under_load_and_no_request_fails(
    tmp_path: Path, opened: Opened, cost: float
) -> None:
    put_scaling_model(tmp_path, 1)
    engine = opened(defaults=ModelConfig(versions="latest:1"))
    answers: list[float] = []
    clients: list[asyncio.Future[None]] = []

    async def client() -> None:
        while not done.is_set():
            engine.model("m").cost = RunCost(cost)
            answers.append(float((await engine.run(engine.model("m"), {"x": ROW}))["y"][0, 0]))
            await asyncio.sleep(0)

    async def serving(factor: float) -> None:
        while answers[-20:] != [factor] * 20:
            assert not any(each.done() for each in clients)
            await asyncio.sleep(0.001)

    async def swapped() -> None:
        clients.extend(asyncio.ensure_future(client()) for _ in range(8))
        await serving(1)
        for factor in range(2, 12):
            # In turn the same version's file, and a new version that takes the old one's place.
            put_scaling_model(tmp_path, factor, "1" if factor % 2 else str(factor))
            if factor % 2:
                shutil.rmtree(tmp_path / "m" / str(factor - 1))
            await engine.load("m")
            await serving(factor)
        done.set()
        await asyncio.gather(*clients)

    done = asyncio.Event()
    asyncio.run(swapped())
    assert set(answers) == set(range(1, 12))
    [statistics] = engine.own_statistics("m")
    assert statistics.inference_stats.fail.count == 0


def test_what_an_old_version_has_begun_it_finishes(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_scaling_model(tmp_path, 2)
    engine = opened(concurrency=1)
    old = engine.model("m")
    gate = Gate(old, monkeypatch, joins=False)

    async def swapped() -> list[float]:
        begun = [asyncio.ensure_future(engine.run(engine.model("m"), {"x": ROW})) for _ in range(2)]
        await asyncio.to_thread(gate.wait_for_a_run)
        put_scaling_model(tmp_path, 5)
        await engine.load("m")
        new = await engine.run(engine.model("m"), {"x": ROW})  # while the old still runs
        gate.open()
        late = await engine.run(old, {"x": ROW})  # looked up before it was replaced
        return [float(each["y"][0, 0]) for each in (new, *await asyncio.gather(*begun), late)]

    assert asyncio.run(swapped()) == [5, 2, 2, 2]


@pytest.mark.slow
def test_an_old_version_that_does_not_finish_is_ended(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("serve.engine.model.ServedModel._warm_up", lambda *_: 1.0)
        patch.setattr("serve.engine.model.ServedModel._can_join", lambda *_: False)
        models.put(tmp_path, "slow", models.slow_model(turns=10**12))
        engine = opened(drain_seconds=0.1)

    async def unloaded() -> None:
        begun = asyncio.ensure_future(engine.run(engine.model("slow"), {"x": ROW[0]}))
        await wait_until_running(engine)
        await engine.unload("slow")
        await begun

    with pytest.raises(ModelUnavailableError):
        asyncio.run(unloaded())


def test_a_broken_new_file_is_named_and_the_old_one_serves_on(tmp_path: Path, opened: Opened) -> None:
    path = put_scaling_model(tmp_path, 2)
    engine = opened()
    path.write_bytes(b"rubbish")
    with pytest.raises(ModelRefusedError, match="model `m` version `1` is refused: ONNX Runtime cannot load"):
        load(engine)
    [state] = engine.index()
    assert state.state == "READY"
    assert "ONNX Runtime cannot load it; the file that was loaded before still serves" in state.reason
    assert engine.ready
    assert read_factor(engine) == 2
    put_scaling_model(tmp_path, 3)
    load(engine)
    assert [entry.reason for entry in engine.index()] == [""]
    assert read_factor(engine) == 3


@pytest.mark.slow
def test_a_broken_new_model_leaves_the_engine_ready(tmp_path: Path, opened: Opened) -> None:
    put_scaling_model(tmp_path, 2)
    engine = opened(poll_seconds=POLL)
    models.put(tmp_path, "junk", b"rubbish")
    until(lambda: read_states(engine).get(("junk", "1")) == "UNAVAILABLE")
    assert engine.ready
    with pytest.raises(ModelRefusedError):
        load(engine, "junk")
    assert engine.ready
    (tmp_path / "m" / "1" / "model.onnx").write_bytes(b"rubbish")
    asyncio.run(engine.unload("m"))
    with pytest.raises(ModelRefusedError):
        load(engine)
    assert not engine.ready  # it has answered before


def test_a_broken_new_version_is_named_and_the_old_one_answers(tmp_path: Path, opened: Opened) -> None:
    put_scaling_model(tmp_path, 2)
    engine = opened()
    models.put(tmp_path, "m", b"rubbish", "2")
    with pytest.raises(ModelRefusedError, match="model `m` version `2` is refused"):
        load(engine)
    assert read_states(engine) == {("m", "1"): "READY", ("m", "2"): "UNAVAILABLE"}
    assert engine.ready
    assert read_factor(engine) == 2


@pytest.mark.slow
def test_what_has_not_changed_is_not_loaded_again(tmp_path: Path, opened: Opened) -> None:
    put_scaling_model(tmp_path, 1, "1")
    put_scaling_model(tmp_path, 2, "2")
    engine = opened()
    first, second = engine.model("m", "1"), engine.model("m", "2")
    put_scaling_model(tmp_path, 3, "2")
    load(engine)
    assert engine.model("m", "1") is first
    assert engine.model("m", "2") is not second
    load(engine, config={"batch_rows": 7})
    assert engine.model("m", "1").config.batch_rows == 7


def test_unloading_frees_the_name_until_it_is_loaded_again(tmp_path: Path, opened: Opened) -> None:
    put_scaling_model(tmp_path, 2)
    engine = opened(poll_seconds=POLL)
    asyncio.run(engine.unload("m"))
    put_scaling_model(tmp_path, 3)
    asyncio.run(asyncio.sleep(5 * POLL))
    with pytest.raises(ModelUnavailableError, match="model `m` version `1` is not ready: unloaded"):
        engine.model("m")
    assert engine.names() == []
    assert engine.ready  # what the operator took away is not missed
    load(engine)
    assert read_factor(engine) == 3


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        ("load", "failed to load `nope`: the models folder holds no such model"),
        ("unload", "Request for unknown model: `nope` is not found"),
    ],
)
def test_a_name_that_is_not_there_is_unknown(opened: Opened, ask: str, message: str) -> None:
    engine = opened(may_start_empty=True)
    with pytest.raises(UnknownModelError, match=message):
        asyncio.run(getattr(engine, ask)("nope"))


def _of_mebibytes(size: int) -> onnx.ModelProto:
    """A model with weights of this size, one row of which it uses."""
    made = models.model(
        f"m (float[N, 64] x, float[{size * 4096}, 64] w) => (float[N, 64] y) {{ "
        "k = Constant<value_ints = [1]>() v = Gather(w, k) y = Mul(x, v) }"
    )
    made.graph.initializer.append(numpy_helper.from_array(np.ones((size * 4096, 64), np.float32), "w"))
    del made.graph.input[1]
    return made


@pytest.mark.usefixtures("giving_back")
@pytest.mark.slow
@pytest.mark.parametrize(("size", "times"), [(4, 30), (32, 1)])
def test_memory_comes_back_when_models_go(tmp_path: Path, opened: Opened, size: int, times: int) -> None:
    """Neither thirty times the weights, nor what it took to load them once, stays with the process."""
    models.put(tmp_path, ".hidden", _of_mebibytes(size))
    engine = opened(may_start_empty=True)
    (tmp_path / ".hidden").rename(tmp_path / "m")
    gc.collect()
    gc.freeze()  # as a server does, since the collector need not look at what stays
    release_free_memory()
    before = psutil.Process().memory_info().rss
    for _ in range(times):
        load(engine)
        asyncio.run(engine.unload("m"))
    gc.unfreeze()
    assert psutil.Process().memory_info().rss - before < 24 * MEBIBYTE


@pytest.mark.parametrize("changes", [{"may_start_empty": True}, {"poll_seconds": 60.0}])
def test_an_engine_may_start_without_a_model_if_more_may_come(
    opened: Opened, changes: dict[str, Any]
) -> None:
    engine = opened(**changes)
    assert engine.ready
    assert engine.index() == []


def test_an_engine_without_a_model_does_not_start(opened: Opened) -> None:
    with pytest.raises(RepositoryError, match=r"holds no model; expected `<name>/<version>/model.onnx`"):
        opened()


@pytest.mark.slow
def test_only_the_latest_versions_are_served_on_request(tmp_path: Path, opened: Opened) -> None:
    for version in ("1", "2", "3", "10"):
        put_scaling_model(tmp_path, float(version), version)
    (tmp_path / "m" / "config.toml").write_text('versions = "latest:2"')
    engine = opened()
    assert engine.versions("m") == ["3", "10"]
    asyncio.run(engine.set_alias("m", "stable", "3"))
    put_scaling_model(tmp_path, 11, "11")
    put_scaling_model(tmp_path, 12, "12")
    load(engine)
    assert engine.versions("m") == ["3", "11", "12"]
    assert read_factor(engine) == 3
    assert read_factor(engine, "12") == 12


def test_a_wrong_configuration_is_named_and_changes_nothing(tmp_path: Path, opened: Opened) -> None:
    put_scaling_model(tmp_path, 2)
    engine = opened()
    (tmp_path / "m" / "config.toml").write_text("batch_rows = 0")
    with pytest.raises(ConfigError, match="`batch_rows` is `0`, expected a whole number from 1 to 65536"):
        load(engine)
    assert read_factor(engine) == 2
    with pytest.raises(ConfigError, match="unknown key `nope`"):
        load(engine, config={"nope": 1})


@pytest.mark.slow
def test_an_invalid_configuration_keeps_the_loaded_one(tmp_path: Path, opened: Opened) -> None:
    put_scaling_model(tmp_path, 2)
    engine = opened(poll_seconds=0.05)
    load(engine, config={"batch_rows": 7})
    with pytest.raises(ConfigError):
        load(engine, config={"nope": 1})
    put_scaling_model(tmp_path, 3)
    until(lambda: read_factor(engine) == 3)
    assert engine.model("m").config.batch_rows == 7


def test_joining_that_would_change_answers_is_refused(tmp_path: Path, opened: Opened) -> None:
    mixing = "m (float[N, 3] x) => (float[N, 3] y) { y = Softmax<axis = 0>(x) }"
    models.put(tmp_path, "m", models.model(mixing))
    assert not opened().model("m").joins
    with pytest.raises(RepositoryError, match="`batching` is `on`, but a row's answer was seen to change"):
        opened(defaults=ModelConfig(batching="on"))


def test_a_device_that_is_lost_later_does_not_end_what_serves(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object) -> None:
        raise ProviderError("provider `cuda` was asked for, and is gone")

    put_scaling_model(tmp_path, 2)
    engine = opened()
    monkeypatch.setattr("serve.engine.opening._open", lost)
    put_scaling_model(tmp_path, 3)
    with pytest.raises(ModelRefusedError, match="`cuda` was asked for, and is gone"):
        load(engine)
    assert read_factor(engine) == 2
    with pytest.raises(ProviderError):
        opened()
