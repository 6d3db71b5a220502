import errno
import fcntl
import resource
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from serve.client import BFLOAT16, InvalidFileError
from serve.client.batch import journal as room
from serve.client.batch.journal import Journal, PredictionJob
from serve.engine.signature import Array

JOB = PredictionJob("m", "2", "f", 32, ("y",))


def answers(start: int) -> dict[str, Array]:
    return {
        "y": np.full((2, 3), start, np.float32),
        "text": np.array(["", "é"], np.object_),
        "half": np.full(2, start, "<u2").view(BFLOAT16),
    }


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "out.npz.partial"
    with Journal(path) as journal:
        assert journal.job is None
        journal.begin(JOB)
        for start in (2, 0, 4):
            journal.add(start, answers(start))
    return path


def check(journal: Journal, start: int) -> None:
    found = journal.answers(start)
    for name, array in answers(start).items():
        assert found[name].dtype == array.dtype
        assert found[name].tolist() == array.tolist()


def test_answers_are_found_by_their_rows_now_and_in_the_next_run(written: Path) -> None:
    with Journal(written) as journal:
        assert journal.job == JOB
        assert 6 not in journal
        journal.add(6, answers(6))
        for start in (0, 2, 4, 6):
            check(journal, start)


def test_a_file_cut_at_any_byte_keeps_whole_answers(written: Path) -> None:
    content = written.read_bytes()
    ends = set()
    for length in range(0, len(content), 7):
        written.write_bytes(content[:length])
        with Journal(written) as journal:
            whole = [start for start in (2, 0, 4) if start in journal]
            assert whole == [2, 0, 4][: len(whole)]
            ends.add(len(whole) if journal.job else -1)
            if journal.job is None:
                journal.begin(JOB)
            journal.add(8, answers(8))
        with Journal(written) as journal:
            for start in (*whole, 8):
                check(journal, start)
    assert ends == {-1, 1, 2}


def test_a_byte_that_changed_ends_the_journal_before_it(written: Path) -> None:
    content = bytearray(written.read_bytes())
    content[-1] ^= 1
    written.write_bytes(content)
    with Journal(written) as journal:
        assert [start in journal for start in (2, 0, 4)] == [True, True, False]


def test_a_journal_of_nothing_leaves_no_file(tmp_path: Path) -> None:
    with Journal(tmp_path / "a.partial") as journal:
        journal.begin(JOB)
    assert list(tmp_path.iterdir()) == []


def test_a_journal_is_for_one_run_at_a_time(written: Path) -> None:
    with Journal(written), pytest.raises(InvalidFileError, match="is in use"):
        Journal(written)


def test_a_journal_that_another_run_removes_meanwhile_is_begun_anew(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = room._lock_file

    def lock_after_the_other_run_ended(file: IO[bytes], path: Path) -> None:
        monkeypatch.setattr(room, "_lock_file", lock)
        path.unlink()
        lock(file, path)

    monkeypatch.setattr(room, "_lock_file", lock_after_the_other_run_ended)
    with Journal(written) as opened:
        assert opened.job is None
        opened.begin(JOB)
        opened.add(0, answers(0))
    with Journal(written) as again:
        check(again, 0)


def test_a_run_that_was_killed_before_its_first_answer_holds_up_no_other(tmp_path: Path) -> None:
    path = tmp_path / "out.npz.partial"
    with Journal(path) as begun:
        begun.begin(JOB)
        left = path.read_bytes()
    path.write_bytes(left)
    with Journal(path) as opened:
        assert opened.job is None


def test_a_file_system_without_locks_is_named(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(InvalidFileError, match="cannot be locked: No locks available"):
        Journal(written)


@pytest.mark.parametrize("content", [b"my only copy", b"adaptact-predict 2\n", b"\0" * 100])
def test_a_file_that_is_no_journal_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "out.npz.partial"
    path.write_bytes(content)
    with pytest.raises(InvalidFileError, match="holds something else and is left as it is"):
        Journal(path)
    assert path.read_bytes() == content


def test_a_full_disk_keeps_the_earlier_answers(written: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A file that may not grow is what a full disk looks like.
    resource.setrlimit(resource.RLIMIT_FSIZE, (written.stat().st_size + 10, hard))
    try:
        with pytest.raises(InvalidFileError, match="File too large"), Journal(written) as journal:
            journal.add(6, answers(6))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with Journal(written) as journal:
        assert [start in journal for start in (2, 0, 4, 6)] == [True, True, True, False]


def test_what_named_the_version_is_kept_but_makes_no_other_job(written: Path) -> None:
    named = replace(JOB, asked_version="stable")
    assert named == JOB
    with Journal(written) as journal:
        journal.begin(named)
        journal.add(0, answers(0))
    with Journal(written) as journal:
        assert journal.job is not None
        assert journal.job.asked_version == "stable"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidFileError, match="No such file or directory"):
        Journal(tmp_path / "nowhere" / "a.partial")


def test_a_new_start_forgets_what_was_there(written: Path) -> None:
    with Journal(written) as journal:
        journal.begin(PredictionJob("other", "1", "f", 1, ()))
        assert 0 not in journal
        journal.add(0, answers(1))
    with Journal(written) as journal:
        assert journal.job is not None
        assert journal.job.model == "other"
