import os
import sys
from pathlib import Path

import pytest
import typer

from adaptact.errors import UsageError
from adaptact.languages.spoken import spoken
from adaptact.options import SpokenLanguage, parse_json_object, stay_offline, use_working_folder


@pytest.mark.parametrize(("text", "value"), [(None, None), ("{}", {}), ('{"a": [1]}', {"a": [1]})])
def test_a_json_object_is_read(text: str | None, value: object) -> None:
    assert parse_json_object(text, "--x") == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "`--x` is not JSON: Expecting property name"),
        ("[" * 100_000, "`--x` is not JSON: maximum recursion depth"),
        ("[]", "`--x` is a `list`, expected a JSON object"),
        ("null", "`--x` is a `NoneType`, expected a JSON object"),
    ],
)
def test_any_other_text_is_wrong_use(text: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_json_object(text, "--x")
    assert str(raised.value).startswith(message)


def run(*words: str) -> list[str]:
    """What a command with the option says, and what is spoken after it."""
    said: list[str] = []
    app = typer.Typer()

    @app.command()
    def command(language: SpokenLanguage = None) -> None:
        said.append(spoken())

    app(words, standalone_mode=False)
    return [*said, spoken()]


def test_a_command_speaks_the_language_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "ja_JP.UTF-8")
    assert run() == ["ja", "en"]
    assert run("--language", "en") == ["en", "en"]
    monkeypatch.setenv("LC_ALL", "C")
    assert run("--language", "ja") == ["ja", "en"]


def test_own_modules_are_found_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    use_working_folder()
    use_working_folder()
    assert sys.path.index(str(tmp_path)) == len(sys.path) - 1


def test_libraries_are_told_to_stay_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"TRANSFORMERS_VERBOSITY": "info"})
    stay_offline()
    assert os.environ["HF_HUB_OFFLINE"] == os.environ["TRANSFORMERS_OFFLINE"] == "1"
    assert os.environ["TRANSFORMERS_VERBOSITY"] == "info"
