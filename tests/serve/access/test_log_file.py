import multiprocessing
import os
from pathlib import Path

import pytest

from serve.access.log_file import LogFile

LINES = 4000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


def test_lines_are_appended_to_what_is_there(path: Path) -> None:
    path.write_text("older\n")
    log = LogFile(path, 0o640)
    log.write(b"newer\n")
    log.close()
    assert path.read_text() == "older\nnewer\n"


@pytest.mark.parametrize("is_open", [False, True])
def test_a_part_of_a_line_that_a_process_left_takes_no_line_with_it(path: Path, is_open: bool) -> None:
    path.write_text("whole\n" if is_open else "whole\nhal")
    log = LogFile(path, 0o640)
    if is_open:  # another worker had no more room
        path.write_text("whole\nhal")
    log.write(b"newer\n")
    log.write(b"newest\n")
    log.close()
    assert path.read_text() == "whole\nhal\nnewer\nnewest\n"


def test_what_is_no_file_that_can_be_read_back_is_written_all_the_same(path: Path) -> None:
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    log = LogFile(path, 0o640)
    log.write(b"line\n")
    log.close()
    assert os.read(reading, 100) == b"line\n"
    os.close(reading)


def test_a_new_file_has_its_mode(path: Path) -> None:
    LogFile(path, 0o600).close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_moved_file_is_followed_by_a_new_one(path: Path) -> None:
    log = LogFile(path, 0o640)
    for text in (b"first\n", b"second\n"):
        log.write(text)
        path.rename(path.with_suffix(f".{text[:1].decode()}"))
    path.touch()  # another program may create it
    log.write(b"third\n")
    log.close()
    texts = [path.with_suffix(suffix).read_text() for suffix in (".f", ".s", "")]
    assert texts == ["first\n", "second\n", "third\n"]


def test_the_file_is_not_looked_for_all_the_time(path: Path) -> None:
    log = LogFile(path, 0o640, look_seconds=3600)
    path.rename(path.with_suffix(".1"))
    log.write(b"line\n")
    log.close()
    assert not path.exists()


def test_a_line_without_a_folder_raises_and_the_old_file_stays(path: Path) -> None:
    folder = path.parent / "logs"
    folder.mkdir()
    log = LogFile(folder / "log", 0o640)
    moved = folder.rename(path.parent / "moved")
    with pytest.raises(FileNotFoundError):
        log.write(b"lost\n")
    moved.rename(folder)
    log.write(b"kept\n")
    log.close()
    assert (folder / "log").read_text() == "kept\n"


def _write_lines(path: Path, letter: str) -> None:
    log = LogFile(path, 0o640)
    for _ in range(LINES):
        log.write(f"{letter * 200}\n".encode())
    os._exit(0)


def test_lines_of_several_processes_stay_whole(path: Path) -> None:
    start = multiprocessing.get_context("fork").Process
    writers = [start(target=_write_lines, args=(path, letter)) for letter in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    lines = path.read_text().splitlines()
    assert sorted(set(lines)) == ["a" * 200, "b" * 200, "c" * 200]
    assert len(lines) == 3 * LINES
