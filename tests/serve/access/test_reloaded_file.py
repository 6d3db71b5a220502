import os
from pathlib import Path

import pytest

from serve.access import reloaded_file
from serve.access.reloaded_file import ReloadedFiles


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(reloaded_file, "LOOK_SECONDS", 0)
    path = tmp_path / "file"
    path.write_text("one")
    return path


def test_a_change_is_seen_once(file: Path) -> None:
    looked = ReloadedFiles(file)
    assert not looked.has_changed()
    file.write_text("another")
    assert [looked.has_changed(), looked.has_changed()] == [True, False]


def test_a_file_that_is_replaced_moved_away_or_back_has_changed(file: Path, tmp_path: Path) -> None:
    looked, other = ReloadedFiles(tmp_path / "none", file), tmp_path / "other"
    other.write_text("two")
    os.utime(other, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    other.replace(file)
    assert looked.has_changed()
    file.rename(other)
    assert looked.has_changed()
    other.rename(file)
    assert looked.has_changed()


def test_nothing_is_looked_at_twice_within_the_time(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = ReloadedFiles(file)
    monkeypatch.setattr(reloaded_file, "LOOK_SECONDS", 3600)
    file.write_text("another")
    assert not looked.has_changed()
    monkeypatch.setattr(reloaded_file, "LOOK_SECONDS", 0)
    assert looked.has_changed()
