from pathlib import Path

import pytest

from adaptact.suggestions import suggest, suggest_file


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("PRelu", "did you mean `PReLU`?"),
        ("exprot", "did you mean `export`?"),
        ("", None),
        ("something else", None),
        ("x" * 1_000_000, None),
    ],
)
def test_only_what_is_spelt_alike_is_suggested(word: str, expected: str | None) -> None:
    assert suggest(word, ["PReLU", "Swish", "export"]) == expected


def test_a_file_is_looked_for_beside_the_missing_one(tmp_path: Path) -> None:
    (tmp_path / "model.pt").touch()
    assert suggest_file(tmp_path / "modle.pt") == f"did you mean `{tmp_path / 'model.pt'}`?"
    assert suggest_file(tmp_path / "model.pt") is None
    assert suggest_file(tmp_path / "else") is None


def test_a_folder_is_looked_for_where_the_path_ends(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    assert suggest_file(tmp_path / "modles" / "a" / "model.pt") == f"did you mean `{tmp_path / 'models'}`?"


@pytest.mark.parametrize("path", ["\0", "x" * 5000, "/", ""])
def test_a_path_that_cannot_be_has_no_suggestion(path: str) -> None:
    assert suggest_file(Path(path)) is None
