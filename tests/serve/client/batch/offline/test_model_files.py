"""The files of a model, which is written anew while a run begins, or that are too many."""

import tracemalloc
from pathlib import Path

import pytest

from serve.client import InvalidFileError
from serve.client.batch.offline import cluster, run
from serve.client.batch.offline.model import LocalModel
from serve.client.batch.offline.model_files import read_model_files
from serve.engine import repository
from tests.serve import models
from tests.serve.client.batch.offline.conftest import GIVEN, Predict
from tests.serve.client.batch.offline.writing import write_csv


def test_a_model_that_is_written_while_a_run_begins_gives_no_answers(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_csv(tmp_path / "in.csv", GIVEN)

    def load(path: Path) -> LocalModel:
        changed = models.model(models.DOUBLE.replace("Add(x, x)", "Mul(x, x)"))
        models.put(tmp_path / "models", "double", changed)
        return LocalModel(path)

    monkeypatch.setattr(run, "LocalModel", load)
    with pytest.raises(InvalidFileError, match="was written while the run began; begin it again"):
        predict(tmp_path / "in.csv")


def test_files_of_a_model_are_not_held_in_memory(double: Path, tmp_path: Path) -> None:
    (double.parent / "weights.bin").write_bytes(bytes(32 * 2**20))
    tracemalloc.start()
    try:
        files = read_model_files(double)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * 2**20
    path = files.pack().unpack(tmp_path / "there")
    assert path.read_bytes() == double.read_bytes()
    assert path.with_name("weights.bin").stat().st_size == 32 * 2**20


def test_a_tokenizer_stays_on_a_node_whose_process_may_begin_it_again(
    double: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (double.with_name("tokenizer.json")).write_text("{}")
    loaded: list[Path] = []
    monkeypatch.setattr(cluster, "LocalModel", loaded.append)
    monkeypatch.setattr(cluster, "_loaded", {})
    cluster._load(read_model_files(double).pack())
    assert loaded[0].with_name("tokenizer.json").exists()
    assert not loaded[0].exists()
    ((_, folder),) = cluster._loaded.values()
    folder.cleanup()


def test_a_folder_of_too_many_files_is_refused(double: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository, "MAX_FILES", 0)
    with pytest.raises(InvalidFileError, match="its folder holds more than 0 files"):
        read_model_files(double)
