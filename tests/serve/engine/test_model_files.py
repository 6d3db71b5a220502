import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from serve.engine import model_files, repository
from serve.engine.errors import ModelRefusedError
from serve.engine.model_files import open_files
from serve.engine.repository import ModelFile
from serve.engine.session import Session
from tests.serve import models
from tests.serve.engine.loading import OPTIONS, load_session

LIMIT_BYTES = 2**20
PRIVATE = pytest.mark.parametrize("is_private", [False, True])


def _entry(path: Path, bare: bool = False) -> ModelFile:
    return ModelFile("m", "1", path, bare=bare)


def _open(entry: ModelFile, limit: int, *, is_private: bool = False) -> None:
    with open_files(entry, limit, is_private=is_private):
        pass


@PRIVATE
def test_the_model_and_the_weights_that_it_names_are_read(tmp_path: Path, is_private: bool) -> None:
    path = models.put(tmp_path, "m", models.with_external_data("inner/w.bin"))
    (path.parent / "inner").mkdir()
    (path.parent / "inner" / "w.bin").write_bytes(bytes(8))
    (path.parent / "notes.txt").write_text("not named")
    with open_files(_entry(path), LIMIT_BYTES, is_private=is_private) as files:
        assert Path(files.path).read_bytes() == path.read_bytes()
        assert dict(files.sidecars) == {"inner/w.bin": bytes(8)}
        assert Session(files, OPTIONS).run({"x": np.ones(2, np.float32)}, ["y"])[0].tolist() == [1, 1]


@PRIVATE
def test_tensors_inside_a_model_with_weights_beside_it_are_given_out_too(
    tmp_path: Path, is_private: bool
) -> None:
    made = models.with_external_data("w.bin")
    made.graph.node[0].output[0] = "inner"
    made.graph.node.add(op_type="Neg", input=["inner"], output=["y"])
    path = models.put(tmp_path, "m", made)
    path.with_name("w.bin").write_bytes(np.ones(2, np.float32).tobytes())
    before = path.read_bytes()
    with open_files(_entry(path), LIMIT_BYTES, is_private=is_private) as files:
        session = Session(files, OPTIONS, more_outputs=["inner"])
        with files.extend(b"more") as extended:
            assert Path(extended).read_bytes() == before + b"more"
    inner, y = session.run({"x": np.ones(2, np.float32)}, ["inner", "y"])
    assert (inner.tolist(), y.tolist()) == ([2, 2], [-2, -2])
    assert path.read_bytes() == before


def test_a_name_is_found_wherever_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_files, "PIECE_BYTES", 7)
    for before in range(20):
        path = models.put(tmp_path, "m", b"." * before + b"weights.bin")
        path.with_name("weights.bin").write_bytes(b"1")
        path.with_name("weights.bin.old").write_bytes(b"2")
        with open_files(_entry(path), LIMIT_BYTES) as files:
            assert list(files.sidecars) == ["weights.bin"]


def test_a_private_copy_is_what_was_there_when_it_was_opened(tmp_path: Path) -> None:
    path = models.put(tmp_path, "m", models.model(models.DOUBLE))
    content = path.read_bytes()
    with open_files(_entry(path), LIMIT_BYTES, is_private=True) as files:
        path.write_bytes(b"something else")
        assert bytes(memoryview(files.content)) == content
        with open(files.path, "r+b", buffering=0) as copy, pytest.raises(PermissionError):
            copy.write(b"x")
        assert Session(files, OPTIONS).signature.inputs[0].name == "x"


def _write(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def _replace(path: Path) -> None:
    other = path.with_name("other.onnx")
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.rename(path)


@pytest.mark.parametrize("change", [_write, _replace, Path.unlink])
def test_a_file_that_changes_while_it_is_loaded_is_refused(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    path = models.put(tmp_path, "m", models.model(models.DOUBLE))
    expected = r"changed while it was loaded|cannot be read: No such file"
    with pytest.raises(ModelRefusedError, match=expected), open_files(_entry(path), LIMIT_BYTES):
        change(path)


def test_errors_of_loading_are_not_errors_of_reading(tmp_path: Path) -> None:
    path = models.put(tmp_path, "m", b"")
    with pytest.raises(OSError, match="a device is gone"), open_files(_entry(path), LIMIT_BYTES):
        raise OSError("a device is gone")


def test_weights_may_be_written_over_while_their_model_serves(tmp_path: Path) -> None:
    path = models.put(tmp_path, "m", models.with_external_data("w.bin"))
    weights = path.with_name("w.bin")
    weights.write_bytes(np.array([5, 6], np.float32).tobytes())
    session = load_session(path)
    os.truncate(weights, 0)  # a mapped file would now end the process
    assert session.run({"x": np.zeros(2, np.float32)}, ["y"])[0].tolist() == [5, 6]


def test_a_model_may_be_written_over_while_it_serves(tmp_path: Path) -> None:
    path = models.put(tmp_path, "m", models.model(models.LOOKUP))
    session = load_session(path)
    os.truncate(path, 0)
    assert session.run({"index": np.array([1])}, ["y"])[0].tolist() == [2]


def test_a_file_in_onnx_runtimes_own_format_is_loaded(tmp_path: Path) -> None:
    path = models.put(tmp_path, "m", models.model(models.DOUBLE))
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "m.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (tmp_path / "m.ort").replace(path)
    assert load_session(path).run({"x": np.ones((1, 3), np.float32)}, ["y"])[0].tolist() == [[2, 2, 2]]


@PRIVATE
@pytest.mark.parametrize("limit", [10, 200])
def test_files_over_the_limit_are_refused(tmp_path: Path, limit: int, is_private: bool) -> None:
    path = models.put(tmp_path, "m", models.with_external_data("w.bin"))
    path.with_name("w.bin").write_bytes(bytes(200))
    assert path.stat().st_size < 200
    with pytest.raises(ModelRefusedError, match=r"`(model.onnx|w.bin)` has \d+ bytes; the limit is \d+"):
        _open(_entry(path), limit, is_private=is_private)


@PRIVATE
def test_a_file_that_went_away_is_refused(tmp_path: Path, is_private: bool) -> None:
    with pytest.raises(ModelRefusedError, match="cannot be read: No such file"):
        _open(_entry(tmp_path / "model.onnx"), 100, is_private=is_private)


@PRIVATE
def test_an_empty_file_is_no_model(tmp_path: Path, is_private: bool) -> None:
    path = models.put(tmp_path, "m", b"")
    refused = pytest.raises(ModelRefusedError, match="ONNX Runtime cannot load it")
    with open_files(_entry(path), 100, is_private=is_private) as files, refused:
        Session(files, OPTIONS)


def test_a_folder_with_too_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository, "MAX_FILES", 3)
    path = models.put(tmp_path, "m", b"")
    for number in range(3):
        path.with_name(str(number)).touch()
    with pytest.raises(ModelRefusedError, match="holds more than 3 files"), open_files(_entry(path), 100):
        pass


def test_a_pipe_beside_the_model_is_not_waited_for(tmp_path: Path) -> None:
    path = models.put(tmp_path, "m", models.with_external_data("weights.bin"))
    os.mkfifo(path.with_name("weights.bin"))
    with open_files(_entry(path), LIMIT_BYTES) as files:
        assert files.sidecars == {}


def test_a_bare_file_has_no_sidecar_files(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"w.bin")
    (tmp_path / "w.bin").write_bytes(b"1")
    with open_files(_entry(path, bare=True), 100) as files:
        assert files.sidecars == {}
