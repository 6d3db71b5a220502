import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve.engine import repository
from serve.engine.errors import ModelRefusedError, RepositoryError
from serve.engine.repository import ModelFile, check_loadable, find_models, read_fingerprint
from tests.serve import models
from tests.serve.models import put


def _found(folder: Path) -> list[tuple[str, str, bool]]:
    return [(entry.name, entry.version, not entry.problem) for entry in find_models(folder)]


def test_models_are_found_in_order_of_name_and_version(tmp_path: Path) -> None:
    for version in ("2", "10", "1"):
        put(tmp_path, "b", b"", version)
    (tmp_path / "a.onnx").touch()
    assert _found(tmp_path) == [("a", "1", True), ("b", "1", True), ("b", "2", True), ("b", "10", True)]


def test_other_files_and_folders_are_no_models(tmp_path: Path) -> None:
    put(tmp_path, "a", b"")
    (tmp_path / "a" / "notes").mkdir()
    (tmp_path / "a" / "01").mkdir()
    (tmp_path / ".hidden.onnx").touch()
    (tmp_path / "README.md").touch()
    (tmp_path / "pictures").mkdir()
    assert _found(tmp_path) == [("a", "1", True)]


@pytest.mark.parametrize("name", ["with space", "-dash", "ü", "a" * 129, "per%cent"])
def test_a_name_outside_the_alphabet_is_a_problem(tmp_path: Path, name: str) -> None:
    put(tmp_path, name, b"")
    [entry] = find_models(tmp_path)
    assert "letters, digits" in entry.problem


def test_a_model_without_a_version_folder_says_where_it_belongs(tmp_path: Path) -> None:
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "model.onnx").touch()
    [entry] = find_models(tmp_path)
    assert "expected `digits/1/model.onnx`" in entry.problem


def test_two_files_for_one_version_affect_only_that_version(tmp_path: Path) -> None:
    put(tmp_path, "a", b"")
    put(tmp_path, "a", b"", "2")
    (tmp_path / "a.onnx").touch()
    assert _found(tmp_path) == [("a", "1", False), ("a", "2", True)]


def test_an_unreadable_folder_affects_only_its_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "lost+found"):
        (tmp_path / name / "1").mkdir(parents=True)
    scandir = os.scandir

    def guarded(path: Path) -> Iterator[os.DirEntry[str]]:
        if path.name in ("a", "lost+found"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    [closed, open_one] = find_models(tmp_path)
    assert (closed.name, closed.problem) == ("a", "its folder cannot be read: Permission denied")
    assert (open_one.name, open_one.problem) == ("b", "")


@pytest.mark.parametrize("number", repository.SHORTAGES)
def test_a_shortage_of_handles_or_memory_is_no_damaged_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    put(tmp_path, "a", b"", "2")

    def fail(path: Path) -> Iterator[os.DirEntry[str]]:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "scandir", fail)
    with pytest.raises(RepositoryError, match="cannot be read"):
        find_models(tmp_path)


def test_a_missing_folder_is_an_error_and_an_empty_one_is_empty(tmp_path: Path) -> None:
    assert find_models(tmp_path) == []
    with pytest.raises(RepositoryError, match="does not exist"):
        find_models(tmp_path / "models")


def _refusal(folder: Path, path: Path) -> str:
    with pytest.raises(ModelRefusedError) as refused:
        check_loadable(folder, ModelFile("a", "1", path))
    return str(refused.value)


def test_a_file_in_its_place_is_loadable(tmp_path: Path) -> None:
    check_loadable(tmp_path, ModelFile("a", "1", put(tmp_path, "a", b"x")))


def test_a_version_without_its_file_is_refused(tmp_path: Path) -> None:
    assert "there is no file `model.onnx`" in _refusal(tmp_path, tmp_path / "a" / "1" / "model.onnx")


def test_links_may_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    inside, outside = tmp_path / "models", tmp_path / "outside"
    put(outside, "a", b"")
    inside.mkdir()
    (inside / "a").symlink_to(outside / "a")
    assert "leads out of the models folder" in _refusal(inside, inside / "a" / "1" / "model.onnx")


def test_links_within_the_folder_are_followed(tmp_path: Path) -> None:
    target = put(tmp_path, ".data", b"")
    (tmp_path / "a.onnx").symlink_to(target)
    check_loadable(tmp_path, ModelFile("a", "1", tmp_path / "a.onnx"))


def _entry(path: Path, bare: bool = False) -> ModelFile:
    return ModelFile("m", "1", path, bare=bare)


def test_a_folder_with_too_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository, "MAX_FILES", 3)
    path = models.put(tmp_path, "m", b"")
    for number in range(3):
        path.with_name(str(number)).touch()
    with pytest.raises(ModelRefusedError, match="holds more than 3 files"):
        read_fingerprint(_entry(path))


def test_a_fingerprint_changes_with_any_file_of_the_version(tmp_path: Path) -> None:
    path = models.put(tmp_path, "m", b"model")
    weights, config = path.with_name("w.bin"), path.parents[1] / "config.toml"
    seen = [read_fingerprint(_entry(path))]
    assert read_fingerprint(_entry(path)) == seen[0]
    for change in (
        lambda: weights.write_bytes(b"1"),
        lambda: weights.write_bytes(b"22"),
        lambda: config.write_text("batch_rows = 1"),
        lambda: os.utime(path, ns=(1, 1)),
        weights.unlink,
    ):
        change()
        seen.append(read_fingerprint(_entry(path)))
    assert len(set(seen)) == len(seen)


def test_a_bare_file_stands_alone(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"w.bin")
    before = read_fingerprint(_entry(path, bare=True))
    (tmp_path / "w.bin").write_bytes(b"1")
    assert read_fingerprint(_entry(path, bare=True)) == before
