"""An interrupted benchmark goes on, and never with the numbers of other code."""

from pathlib import Path

import pytest

from benchmarks import cells
from benchmarks.cells import Cell, CellStore


@pytest.fixture(autouse=True)
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "BUILD", tmp_path)


def never() -> Cell:
    raise AssertionError("measured again")


def test_a_cell_is_measured_once() -> None:
    assert CellStore("one", ["turns"]).get_or_measure("a/b 1", lambda: {"x": 1}) == {"x": 1}
    assert CellStore("one", ["turns"]).get_or_measure("a/b 1", never) == {"x": 1}


def test_a_cell_that_fails_is_not_kept() -> None:
    with pytest.raises(AssertionError, match="measured again"):
        CellStore("one", ["turns"]).get_or_measure("a", never)
    assert CellStore("one", ["turns"]).get_or_measure("a", lambda: {"x": 2}) == {"x": 2}


def test_other_settings_and_other_code_are_other_cells() -> None:
    folders = [
        CellStore("one", ["turns"]).folder,
        CellStore("one", ["turns"], rounds=3).folder,
        CellStore("one", ["networks"]).folder,
        CellStore("two", ["turns"]).folder,
    ]
    assert len(set(folders)) == len(folders)
