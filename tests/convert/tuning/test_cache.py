import dataclasses
import json
import os
from pathlib import Path

import pytest

from convert.manifest.records import TuningRecord
from convert.tuning import cache

RECORD = TuningRecord("cpu", 1, (1, 16), "a CPU", 60.0, 12.5, 0.01, (), (), (), "decided")
KEY = cache.make_key(b"graph", "cpu", 1, (1, 16))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def find_stored_file() -> Path:
    cache.write(KEY, RECORD)
    (path,) = cache.cache_folder().iterdir()
    return path


def test_a_stored_record_comes_back(home: Path) -> None:
    assert cache.read(KEY) is None
    assert find_stored_file().parent == home / "adaptact" / "tuning"
    assert cache.read(KEY) == RECORD


@pytest.mark.parametrize(
    "other",
    [
        cache.make_key(b"another graph", "cpu", 1, (1, 16)),
        cache.make_key(b"graph", "cpu", 2, (1, 16)),
        cache.make_key(b"graph", "cpu", 1, (1,)),
        cache.make_key(b"graph", "cpu", 1, (1, 16), "bf16"),
        {**KEY, "onnxruntime": "0"},
        {**KEY, "packages": {"onnxruntime-ep-openvino": "0"}},
        {**KEY, "processor": "another"},
        {**KEY, "adaptact": "0"},
        {**KEY, "provider": "cuda"},
    ],
)
def test_another_question_has_no_answer(other: cache.Key) -> None:
    find_stored_file()
    assert cache.read(other) is None


def test_the_key_names_versions_and_processor() -> None:
    assert KEY["processor"]
    versions, options = (
        {"onnxruntime", "packages", "adaptact"},
        {"provider", "threads", "batches", "precision"},
    )
    assert set(KEY) == {"graph", "processor", *versions, *options}


def _make_content(**changes: object) -> str:
    return json.dumps(
        {"format": cache.FORMAT, "key": KEY, "tuning": dataclasses.asdict(RECORD), **changes}, default=str
    )


HOSTILE = {
    "nothing": "",
    "words": "words",
    "cut short": _make_content()[:-20],
    "deep": "[" * 100_000,
    "another format": _make_content(format="adaptact-tuning/2"),
    "another key": _make_content(key={**KEY, "threads": 7}),
    "no record": _make_content(tuning=None),
    "a wrong type": _make_content(tuning={**dataclasses.asdict(RECORD), "noise": "much"}),
    "no number": _make_content().replace("0.01", "NaN"),
    "bytes": "\udcff",
    "too much": " " * (cache.LARGEST + 1),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_damaged_or_hostile_file_is_replaced(case: str) -> None:
    path = find_stored_file()
    path.write_text(HOSTILE[case], errors="surrogateescape")
    assert cache.read(KEY) is None
    assert find_stored_file() == path
    assert cache.read(KEY) == RECORD


def test_a_link_and_a_pipe_are_not_followed_or_waited_for(tmp_path: Path) -> None:
    path = find_stored_file()
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert cache.read(KEY) is None
    path.unlink()
    os.mkfifo(path)
    assert cache.read(KEY) is None
    cache.write(KEY, RECORD)  # what is no file is left alone, and nothing fails
    assert path.is_fifo()


def test_a_folder_that_cannot_be_made_is_no_error(home: Path) -> None:
    (home / "adaptact").write_text("a file")
    cache.write(KEY, RECORD)
    assert cache.read(KEY) is None


def test_a_relative_cache_folder_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.cache_folder() == tmp_path / ".cache" / "adaptact" / "tuning"
