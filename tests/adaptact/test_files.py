"""A file is replaced whole or not at all."""

import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from adaptact.errors import OutputError
from adaptact.files import replace_file, write_text


def test_the_new_content_takes_the_place_of_the_old(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with replace_file(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["file"]


def test_a_full_disk_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"), replace_file(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_new_file_has_ordinary_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    with replace_file(tmp_path / "file"):
        pass
    plain, new = (stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "file"))
    assert plain == new


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replace_file(tmp_path / "missing" / "file"):
        pass


@pytest.mark.parametrize("made", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/null")])
def test_what_is_no_file_stays_and_a_link_is_replaced(tmp_path: Path, made: Callable[[Path], object]) -> None:
    path = tmp_path / "file"
    made(path)
    linked = path.is_symlink()
    with contextlib.suppress(FileExistsError), replace_file(path) as temporary:
        temporary.write_text("new")
    assert path.is_file() == linked
    assert os.listdir(tmp_path) == ["file"]


def test_a_name_as_long_as_can_be_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("\N{MATHEMATICAL BOLD SMALL X}" * 63)  # 252 bytes of the 255 that a name may have
    with replace_file(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_in_the_block_leaves_the_old_content(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with contextlib.suppress(error), replace_file(path) as temporary:
        temporary.write_text("new")
        raise error
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_text_is_written_as_utf_8(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "λ\n")
    assert (tmp_path / "file").read_bytes() == b"\xce\xbb\n"


def test_text_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "file"
    with pytest.raises(OutputError) as raised:
        write_text(path, "text")
    assert str(raised.value) == f"cannot write `{path}`: No such file or directory"
