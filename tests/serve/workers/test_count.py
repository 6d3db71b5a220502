from pathlib import Path
from typing import Any

import pytest

from serve.settings import MEBIBYTE, Settings
from serve.workers import count
from serve.workers.count import MOST_FILES, MOST_MODEL_MIB, count_workers


@pytest.fixture(autouse=True)
def cores(monkeypatch: pytest.MonkeyPatch) -> None:
    set_cores(monkeypatch, 2)


def set_cores(monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
    monkeypatch.setattr(count, "available_cores", lambda: cores)


def text(folder: Path, **settings: Any) -> str:
    return str(count_workers(Settings(models=folder, **settings)))


def put(folder: Path, size: int) -> None:
    (folder / "a/1").mkdir(parents=True)
    with (folder / "a/1/model.onnx").open("wb") as file:
        file.truncate(size)  # without a byte on the disk


@pytest.mark.parametrize(
    ("cores", "expected"),
    [
        (1, "1 worker, one per core"),
        (2, "2 workers, one per core"),
        (4, "4 workers, one per core"),
        (64, "4 workers, the most for 64 cores"),
    ],
)
def test_there_is_a_worker_per_core_up_to_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int, expected: str
) -> None:
    set_cores(monkeypatch, cores)
    assert text(tmp_path) == expected


def test_small_models_have_a_worker_per_core(tmp_path: Path) -> None:
    put(tmp_path, MOST_MODEL_MIB * MEBIBYTE)
    assert text(tmp_path) == "2 workers, one per core"


def test_large_models_have_one_worker(tmp_path: Path) -> None:
    put(tmp_path, MOST_MODEL_MIB * MEBIBYTE + 1)
    assert text(tmp_path) == "1 worker, since the models have more than 64 MiB"


def test_a_folder_of_very_many_files_has_one_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(count, "MOST_FILES", 3)
    assert MOST_FILES > 3
    for number in range(4):
        (tmp_path / str(number)).touch()
    assert text(tmp_path).startswith("1 worker,")


def test_links_to_nothing_and_missing_folders_are_no_error(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    assert text(tmp_path).startswith("2 workers")
    assert text(tmp_path / "missing").startswith("2 workers")


def test_only_workers_that_would_share_a_gpu_are_one(tmp_path: Path) -> None:
    assert text(tmp_path, provider="cuda") == "1 worker, since all would share the cuda device"
    assert text(tmp_path, provider="openvino") == "2 workers, one per core"


@pytest.mark.parametrize(("workers", "expected"), [(1, "1 worker"), (7, "7 workers")])
def test_a_number_in_the_settings_counts(tmp_path: Path, workers: int, expected: str) -> None:
    put(tmp_path, MOST_MODEL_MIB * MEBIBYTE + 1)
    assert text(tmp_path, workers=workers, provider="cuda") == expected
