from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from serve.engine.errors import AliasError, ModelRefusedError, ModelUnavailableError, UnknownModelError
from serve.engine.memory.amounts import LEAST, ModelMemory
from tests.serve import models
from tests.serve.engine.conftest import Opened
from tests.serve.engine.memory.budgets import TWO, ask, put_models, run
from tests.serve.engine.repositories import load, put_scaling_model

pytestmark = pytest.mark.usefixtures("of_equal_size")


def test_versions_that_are_not_served_take_no_room(opened: Opened, tmp_path: Path) -> None:
    put_models(tmp_path, 2)
    for version in ("2", "3", "4"):
        put_scaling_model(tmp_path, float(version), version, name="m1")
    (tmp_path / "m1" / "config.toml").write_text('versions = "latest:1"\n')
    (tmp_path / "m0" / "config.toml").write_text("pinned = true\n")
    engine = opened(memory=TWO)
    assert engine.names() == ["m0", "m1"]
    run(engine.memory.evict("m1"))
    engine._lifecycle.room.forget("m1")
    assert run(ask(engine, "m1")) == [4.0]
    assert engine.names() == ["m0", "m1"]


def test_the_index_names_the_versions_that_a_request_would_load(opened: Opened, tmp_path: Path) -> None:
    put_models(tmp_path, 3)
    put_scaling_model(tmp_path, 20.0, "2", name="m2")
    (tmp_path / "m2" / "config.toml").write_text('versions = "latest:1"\n')
    engine = opened(memory=TWO)
    assert [entry.version for entry in engine.index() if entry.name == "m2"] == ["2"]
    with pytest.raises(UnknownModelError, match="version `1` is not found"):
        run(ask(engine, "m2", "1"))


def test_files_that_a_model_does_not_name_take_no_room(opened: Opened, tmp_path: Path) -> None:
    put_models(tmp_path, 2)
    (tmp_path / "m1" / "1" / "of_another_library.bin").write_bytes(bytes(4 * LEAST))
    assert opened(memory=TWO).names() == ["m0", "m1"]


def test_weights_in_files_of_their_own_count(opened: Opened, tmp_path: Path) -> None:
    put_models(tmp_path, 1)
    folder = tmp_path / "large" / "1"
    folder.mkdir(parents=True)
    made = models.model("m (float[N, 3] x) => (float[N, 3] y) { y = Mul(x, k) }")
    made.graph.initializer.append(numpy_helper.from_array(np.ones(3, np.float32), "k"))
    path = str(folder / "model.onnx")
    onnx.save_model(made, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    with (folder / "w.bin").open("ab") as weights:
        weights.truncate(4 * LEAST)
    engine = opened(memory=TWO)
    with pytest.raises(ModelUnavailableError, match="at least 4 MiB; `--model-memory` is 3 MiB"):
        run(ask(engine, "large"))


def test_versions_that_do_not_fit_together_are_refused_but_for_the_highest(
    opened: Opened, tmp_path: Path
) -> None:
    put_models(tmp_path, 2)
    for version in ("2", "3"):
        put_scaling_model(tmp_path, float(version), version, name="m0")
    engine = opened(memory=TWO)
    for _ in range(2):  # once it was unloaded too
        assert run(ask(engine, "m0")) == [3.0]
        assert engine.versions("m0") == ["2", "3"]
        with pytest.raises(ModelUnavailableError, match="beside 2 MiB of its other versions"):
            run(ask(engine, "m0", "1"))
        assert run(ask(engine, "m1")) == [1.0]
        assert engine.names() == ["m1"]
        with pytest.raises(ModelUnavailableError, match="beside 2 MiB of its other versions"):
            engine.model("m0", "1")


def test_a_model_that_still_serves_an_older_file_stays(opened: Opened, tmp_path: Path) -> None:
    put_models(tmp_path, 4)
    engine = opened(memory=TWO)
    (tmp_path / "m0" / "1" / "model.onnx").write_bytes(b"no model")
    with pytest.raises(ModelRefusedError):
        load(engine, "m0")
    for name in ("m2", "m3"):
        run(ask(engine, name))
        assert engine.names() == ["m0", name]
    assert run(ask(engine, "m0")) == [0.0]


def test_an_unloaded_model_has_the_alias_once_it_is_loaded(opened: Opened, tmp_path: Path) -> None:
    put_models(tmp_path, 2)
    put_scaling_model(tmp_path, 20.0, "2", name="m1")
    engine = opened(memory=TWO)
    assert engine.names() == ["m0"]
    engine.point_alias("m1", "stable", "1")  # as an experiment or another server has decided
    assert run(ask(engine, "m1")) == [1.0]
    with pytest.raises(AliasError, match="versions: `1`, `2`"):
        engine.point_alias("m1", "stable", "3")


def test_what_requests_take_while_a_model_is_loaded_again_is_not_counted(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_models(tmp_path, 2)
    engine = opened(memory=TWO)
    run(engine.memory.evict("m1"))
    much = ModelMemory(0, 5 * LEAST)
    monkeypatch.setattr("serve.engine.model_loader.measure_memory", lambda *_, **__: much)
    assert run(ask(engine, "m1")) == [1.0]
    assert engine.names() == ["m0", "m1"]


def test_a_configuration_that_is_refused_while_its_model_is_unloaded_is_said(
    opened: Opened, tmp_path: Path
) -> None:
    put_models(tmp_path, 3)
    engine = opened(memory=TWO)
    config = tmp_path / "m2" / "config.toml"
    config.write_text("pinned = 3\n")
    for _ in range(2):
        engine._lifecycle.follow_folder()
    with pytest.raises(ModelUnavailableError, match="expected `true` or `false`"):
        run(ask(engine, "m2"))
    assert engine.names() == ["m0", "m1"]
    config.unlink()
    for _ in range(2):
        engine._lifecycle.follow_folder()
    assert run(ask(engine, "m2")) == [2.0]


def test_pinned_models_that_have_no_room_are_named(
    opened: Opened, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put_models(tmp_path, 4)
    for number in range(1, 4):
        (tmp_path / f"m{number}" / "config.toml").write_text("pinned = true\n")
    assert opened(memory=TWO).names() == ["m1", "m2"]
    assert [record.getMessage()[:20] for record in caplog.records] == ["model `m3` is pinned"]
