import os
from pathlib import Path

import pytest

from serve.cluster.cores import take_cores


@pytest.fixture(autouse=True)
def _four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})


def test_two_replicas_have_no_core_in_common(tmp_path: Path) -> None:
    first, second = take_cores(2, tmp_path), take_cores(2, tmp_path)
    assert (first.numbers, second.numbers) == ((0, 1), (2, 3))


def test_one_that_finds_too_few_takes_none_and_keeps_none_from_others(tmp_path: Path) -> None:
    first = take_cores(2, tmp_path)
    assert take_cores(3, tmp_path).numbers == ()
    assert take_cores(2, tmp_path).numbers == (2, 3)
    first.give_back()
    assert take_cores(1, tmp_path).numbers == (0,)


def test_one_that_needs_all_cores_takes_none(tmp_path: Path) -> None:
    assert take_cores(4, tmp_path).numbers == ()


def test_where_cores_cannot_be_told_apart_the_system_shares_them_out(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert take_cores(1, tmp_path / "file" / "below").numbers == ()
