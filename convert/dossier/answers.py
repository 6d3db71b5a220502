"""The answers of people, in a TOML or YAML file, and the template that asks for them."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adaptact.errors import UsageError
from adaptact.languages.spoken import say
from adaptact.suggestions import suggest, suggest_file
from adaptact.text import first_line
from convert.dossier.documents import read_within
from convert.dossier.questions import KEYS, QUESTIONS

SUFFIXES = (".toml", ".yaml", ".yml")
LARGEST_FILE = 1 << 20
LONGEST_ANSWER = 20_000  # characters
_HINT = "answers are in a .toml or .yaml file: `adaptact dossier --template` writes one"
_PATH = re.compile(r"(?:[./~\\]|[a-z]:[/\\])\S*|\S*(?:[/\\]|\.[a-z][a-z0-9]{0,7})", re.ASCII | re.IGNORECASE)
"""One word with a beginning or an end as of a file or a folder."""

Answers = Mapping[str, str]
"""By the key of the question; one without an answer is not in it."""


def make_template() -> str:
    """A TOML file that asks each question in a comment, in the language that is spoken."""
    lines = [f"# {say('What only people can say of the model. Leave empty what is not known yet.')}"]
    for question in QUESTIONS:
        lines += ["", f"# {say(question.title)}: {say(question.asked)}", f'{question.key} = ""']
    return "\n".join(lines) + "\n"


def read_answers(given: str | None) -> Answers:
    """The answers of a file, or a text as the purpose alone; none where nothing was given.

    Raises UsageError for a file that cannot be read, is too large, is of another kind, or holds something
    else than texts under the keys of the template, and for a text that is a path and no purpose.
    """
    if given is None:
        return {}
    path = Path(given)
    if path.suffix.lower() not in SUFFIXES:
        _require_no_path(given.strip())
        return {"purpose": given.strip()} if given.strip() else {}
    content = _parse(path)
    return {key: text for key, value in content.items() if (text := _require_text(path, key, value))}


def _require_no_path(text: str) -> None:
    """A dossier must not give the name of a file as what people stated."""
    if _PATH.fullmatch(text) or _exists(text):
        problem = "is no file of answers" if _exists(text) else "does not exist, and is no text of a purpose"
        raise UsageError(f"`{text[:200]}` {problem}", suggest_file(Path(text)) or _HINT)


def _exists(text: str) -> bool:
    try:
        return bool(text) and Path(text).exists()
    except (OSError, ValueError):  # longer than any path, or with a null character
        return False


def _parse(path: Path) -> Mapping[str, Any]:
    text = read_within(path, LARGEST_FILE)
    try:
        content = (_parse_toml if path.suffix.lower() == ".toml" else _parse_yaml)(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"`{path}` cannot be read: {first_line(error)}") from error
    if not isinstance(content, dict):
        raise UsageError(f"`{path}` holds `{type(content).__name__}`, expected texts by key")
    return content


def _parse_toml(text: str) -> Any:
    return tomllib.loads(text)


def _parse_yaml(text: str) -> Any:
    try:
        import yaml  # noqa: PLC0415  # of the extra `experiments`; TOML needs nothing
    except ImportError as error:
        raise UsageError(
            "reading YAML needs the package pyyaml", "pip install pyyaml, or write TOML"
        ) from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _require_text(path: Path, key: object, value: object) -> str:
    if key not in KEYS:
        hint = suggest(str(key), KEYS) or "`adaptact dossier --template` writes a file with all keys"
        raise UsageError(f"`{path}` has the key `{str(key)[:100]}`, which is no question", hint)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UsageError(f"`{key}` in `{path}` is `{type(value).__name__}`, expected a text")
    if len(value) > LONGEST_ANSWER:
        raise UsageError(
            f"`{key}` in `{path}` has {len(value):,} characters, expected at most {LONGEST_ANSWER:,}"
        )
    return value.strip()
