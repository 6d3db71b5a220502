"""The answers of people: the template, and files that are something else."""

import tomllib
from pathlib import Path

import pytest

from adaptact.errors import UsageError
from adaptact.languages.catalogue import LANGUAGES, Language
from adaptact.languages.spoken import speak
from convert.dossier.answers import LARGEST_FILE, LONGEST_ANSWER, make_template, read_answers
from convert.dossier.questions import KEYS, QUESTIONS


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_template_asks_every_question_and_is_read_as_no_answer(
    language: Language, tmp_path: Path
) -> None:
    with speak(language):
        text = make_template()
    assert tuple(tomllib.loads(text)) == KEYS
    (tmp_path / "answers.toml").write_text(text, encoding="utf-8")
    assert read_answers(str(tmp_path / "answers.toml")) == {}


@pytest.mark.parametrize("name", ["a.toml", "a.yaml"])
def test_answers_are_read_from_either_kind_of_file(name: str, tmp_path: Path) -> None:
    text = 'purpose = " sorts "' if name == "a.toml" else "purpose: ' sorts '\nrisks:\n"
    (tmp_path / name).write_text(text)
    assert read_answers(str(tmp_path / name)) == {"purpose": "sorts"}


def test_a_text_is_the_purpose_alone() -> None:
    assert read_answers("Sort digits.") == {"purpose": "Sort digits."}
    assert read_answers(" ") == read_answers(None) == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'purpos = "x"', "has the key `purpos`, which is no question"),
        (b"purpose = 1", "`purpose` in .* is `int`, expected a text"),
        (b"purpose = [", "cannot be read: "),
        (b"\xff", "cannot be read: "),
        (b"#" * (LARGEST_FILE + 1), "has more than 1,048,576 bytes"),
        (b'purpose = "' + b"x" * (LONGEST_ANSWER + 1) + b'"', "has 20,001 characters"),
    ],
)
def test_what_holds_no_answers_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(content)
    with pytest.raises(UsageError, match=message):
        read_answers(str(tmp_path / "a.toml"))


@pytest.mark.parametrize("text", ["- a", "a: &a [*a, *a]", "!!python/object/apply:os.system ['x']", "5"])
def test_yaml_that_is_something_else_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(UsageError):
        read_answers(str(tmp_path / "a.yaml"))


def test_a_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_answers("nowhere.toml")


def test_a_questions_key_is_its_own() -> None:
    assert len(set(KEYS)) == len(QUESTIONS)
