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


@pytest.mark.parametrize(
    "text",
    ["Sort digits.", "数字を分類する。", "仕分け/検品", "Digits", "Sort by size/weight", "x\0", "x" * 5000],
)
def test_a_text_is_the_purpose_alone(text: str) -> None:
    assert read_answers(text) == {"purpose": text}


def test_no_text_is_no_answer() -> None:
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


@pytest.mark.parametrize("name", ["weights.bin", "notes.txt", "folder"])
def test_a_path_of_another_kind_is_no_purpose(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    if name != "folder":
        Path(name).write_bytes(b"\xff")
    for given in (name, str(tmp_path / name)):
        with pytest.raises(UsageError, match="is no file of answers"):
            read_answers(given)


@pytest.mark.parametrize("name", ["answer.tml", "./answer", "folder/", "answer.toml"])
def test_a_path_that_is_not_there_is_no_purpose(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("answers.toml").touch()
    with pytest.raises(UsageError, match=r"does not exist|cannot be read") as raised:
        read_answers(name)
    assert name == "folder/" or "did you mean `answers.toml`?" in str(raised.value.hint)


def test_a_questions_key_is_its_own() -> None:
    assert len(set(KEYS)) == len(QUESTIONS)
