import os
from pathlib import Path

import numpy as np
import pytest

from serve.engine import files
from serve.engine.errors import ModelRefusedError
from serve.engine.files import fingerprint, read_files
from serve.engine.repository import ModelFile
from tests.serve import models
from tests.serve.engine.loaded import loaded


def _entry(path: Path, bare: bool = False) -> ModelFile:
    return ModelFile("m", "1", path, bare=bare)


def test_the_file_and_the_weights_that_it_names_are_read(tmp_path: Path) -> None:
    path = models.put(tmp_path, "m", models.with_external_data("inner/w.bin"))
    (path.parent / "inner").mkdir()
    (path.parent / "inner" / "w.bin").write_bytes(bytes(8))
    (path.parent / "notes.txt").write_text("not named")
    read = read_files(_entry(path), 2**20)
    assert read.model == path.read_bytes()
    assert dict(read.beside) == {"inner/w.bin": bytes(8)}


def test_weights_may_be_written_over_while_their_model_serves(tmp_path: Path) -> None:
    path = models.put(tmp_path, "m", models.with_external_data("w.bin"))
    weights = path.with_name("w.bin")
    weights.write_bytes(np.array([5, 6], np.float32).tobytes())
    session = loaded(path)
    os.truncate(weights, 0)  # a mapped file would now end the process
    assert session.run({"x": np.zeros(2, np.float32)}, ["y"])[0].tolist() == [5, 6]


@pytest.mark.parametrize("limit", [10, 200])
def test_files_over_the_limit_are_refused(tmp_path: Path, limit: int) -> None:
    path = models.put(tmp_path, "m", models.with_external_data("w.bin"))
    path.with_name("w.bin").write_bytes(bytes(200))
    assert path.stat().st_size < 200
    with pytest.raises(ModelRefusedError, match=r"`(model.onnx|w.bin)` has \d+ bytes; the limit is \d+"):
        read_files(_entry(path), limit)


def test_a_file_that_went_away_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelRefusedError, match="cannot be read: No such file"):
        read_files(_entry(tmp_path / "model.onnx"), 100)


def test_a_folder_with_too_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_FILES", 3)
    path = models.put(tmp_path, "m", b"")
    for number in range(3):
        path.with_name(str(number)).touch()
    for look in (lambda: read_files(_entry(path), 100), lambda: fingerprint(_entry(path))):
        with pytest.raises(ModelRefusedError, match="holds more than 3 files"):
            look()


def test_a_pipe_beside_the_model_is_not_waited_for(tmp_path: Path) -> None:
    path = models.put(tmp_path, "m", models.with_external_data("weights.bin"))
    os.mkfifo(path.with_name("weights.bin"))
    assert read_files(_entry(path), 2**20).beside == {}


def test_a_fingerprint_changes_with_any_file_of_the_version(tmp_path: Path) -> None:
    path = models.put(tmp_path, "m", b"model")
    weights, config = path.with_name("w.bin"), path.parents[1] / "config.toml"
    seen = [fingerprint(_entry(path))]
    assert fingerprint(_entry(path)) == seen[0]
    for change in (
        lambda: weights.write_bytes(b"1"),
        lambda: weights.write_bytes(b"22"),
        lambda: config.write_text("batch_rows = 1"),
        lambda: os.utime(path, ns=(1, 1)),
        weights.unlink,
    ):
        change()
        seen.append(fingerprint(_entry(path)))
    assert len(set(seen)) == len(seen)


def test_a_bare_file_stands_alone(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"w.bin")
    before = fingerprint(_entry(path, bare=True))
    (tmp_path / "w.bin").write_bytes(b"1")
    assert fingerprint(_entry(path, bare=True)) == before
    assert read_files(_entry(path, bare=True), 100).beside == {}
