import subprocess
import sys
from pathlib import Path

import pytest

from tools import matrix
from tools.matrix import (
    PYTHONS,
    TESTS,
    Cell,
    Outcome,
    find_python,
    list_cells,
    make_page,
    read_note,
    read_page,
    run_cell,
)

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def test_every_test_of_the_matrix_exists() -> None:
    assert [path for path in TESTS if not (matrix.ROOT / path).exists()] == []


def test_each_python_has_an_oldest_and_a_newest_cell() -> None:
    assert [cell.name for cell in list_cells(("3.11", "3.12"))] == [
        *("3.11-oldest", "3.11-newest", "3.12-oldest", "3.12-newest")
    ]
    assert HERE in PYTHONS


def test_an_interpreter_is_found_by_its_version() -> None:
    found = find_python(HERE)
    assert (
        found is None
        or HERE in subprocess.run([found, "-V"], capture_output=True, text=True, check=True).stdout
    )
    assert find_python("2.99") is None


def test_what_cannot_run_is_skipped_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "FOLDER", tmp_path)
    missing = run_cell(Cell("2.99", "oldest"), lambda _: None, keep=False)
    assert missing.result == "skipped: no such interpreter here"
    monkeypatch.setattr(matrix, "find_python", lambda _: sys.executable)
    monkeypatch.setattr(matrix, "_install", lambda *_: "not to be had")
    assert run_cell(Cell(HERE, "oldest"), lambda _: None, keep=False).result == "skipped: not to be had"


def test_the_page_says_what_ran_and_what_did_not() -> None:
    outcomes = [
        Outcome(Cell("3.11", "oldest"), "torch 2.9.1", "7 passed", "2026-01-02"),
        Outcome(Cell("3.13", "newest"), "–", "x"),
    ]
    page = make_page(outcomes)
    assert "| Python 3.11, oldest | torch 2.9.1 | 7 passed | 2026-01-02 |" in page.splitlines()
    assert all(f"- `{path}`" in page.splitlines() for path in TESTS)
    assert list(read_page(page).values()) == outcomes
    assert read_note(page) == ""
    assert read_note(make_page(outcomes, "a note\nof two lines")) == "a note\nof two lines"


def test_cells_that_are_not_asked_for_stay_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Outcome(Cell("3.11", "oldest"), "torch 2.9.1", "7 passed", "2026-01-02")
    page = tmp_path / "page.md"
    page.write_text(make_page([kept], "a note"), encoding="utf-8")
    monkeypatch.setattr(matrix, "run_cell", lambda cell, *_, keep: Outcome(cell, "torch 3", "8 passed"))
    matrix.main(["3.12"], ["oldest"], page, keep=False, note="")
    text = page.read_text(encoding="utf-8")
    found = read_page(text)
    assert found[kept.cell] == kept
    assert found[Cell("3.12", "oldest")].result == "8 passed"
    assert len(found) == 2
    assert "skipped: not asked for" in text
    assert read_note(text) == "a note"
