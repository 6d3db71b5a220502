"""Experiments from a YAML file, where every mistake has its line and column."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from serve.engine.errors import quote
from serve.experiments.definition import Experiment
from serve.experiments.errors import DefinitionError, Mistake
from serve.experiments.parsing import json_schema, parse_experiment, show
from serve.experiments.yaml_documents import Content, Document, read_document

MAX_FILE_BYTES = 2**20
MAX_EXPERIMENTS = 100
MAX_MISTAKES = 100


def read_experiments(path: Path) -> tuple[Experiment, ...]:
    """The experiments of the file: a mapping with the key `experiments` and a list of definitions.

    Raises `DefinitionError` with all mistakes, or with the first where the file is no YAML.
    """
    document = read_document(_read_text(path), str(path))
    experiments: list[Experiment] = []
    mistakes: list[Mistake] = []
    for place, definition in enumerate(_list_definitions(document)):
        part = document.below(("experiments", place))
        try:
            experiment = parse_experiment(definition, part.locate)
            mistakes += _find_repeated_name(experiment, experiments, part)
            experiments.append(experiment)
        except DefinitionError as error:
            mistakes += error.mistakes
    if mistakes:
        raise DefinitionError(mistakes[:MAX_MISTAKES])
    return tuple(experiments)


def file_schema() -> dict[str, Any]:
    """The JSON Schema of such a file, with which editors complete and check it while it is written."""
    experiment = dict(json_schema())
    parts = experiment.pop("$defs")
    items = {"$ref": "#/$defs/Experiment"}
    experiments = {"type": "array", "items": items, "minItems": 1, "maxItems": MAX_EXPERIMENTS}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Experiments of adaptact",
        "type": "object",
        "properties": {"experiments": experiments},
        "required": ["experiments"],
        "additionalProperties": False,
        "$defs": {**parts, "Experiment": experiment},
    }


def _read_text(path: Path) -> str:
    """The file's text; raises `DefinitionError` where it cannot be read, is too large or not UTF-8."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _wrong_file(path, "a file that can be read", error.strerror or "an error") from error
    if len(content) > MAX_FILE_BYTES:
        raise _wrong_file(path, f"at most {MAX_FILE_BYTES:,} bytes", "more")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        got = f"the byte 0x{content[error.start]:02x}"
        hint = "save the file in the encoding UTF-8"
        raise DefinitionError([Mistake("", "UTF-8", got, hint, str(path), line, column)]) from error


def _wrong_file(path: Path, expected: str, got: str) -> DefinitionError:
    return DefinitionError([Mistake("", expected, got, file=str(path))])


def _list_definitions(document: Document) -> list[Content]:
    """The list below `experiments`, the document's only key."""
    content = document.content
    if not isinstance(content, dict):
        raise _wrong_content(document, (), "a mapping with the key `experiments`", show(content))
    for key in content:
        if key != "experiments":
            raise _wrong_content(document, (key,), "only the key `experiments`", quote(key))
    definitions = content.get("experiments")
    if not isinstance(definitions, list) or not 1 <= len(definitions) <= MAX_EXPERIMENTS:
        expected = f"a list of 1 to {MAX_EXPERIMENTS} definitions"
        raise _wrong_content(document, ("experiments",), expected, show(definitions))
    return definitions


def _wrong_content(document: Document, path: tuple[str, ...], expected: str, got: str) -> DefinitionError:
    hint = "write the definitions as a list below `experiments:`"
    return DefinitionError([Mistake("", expected, got, hint, *document.locate(path, True))])


def _find_repeated_name(
    experiment: Experiment, others: Sequence[Experiment], part: Document
) -> Iterator[Mistake]:
    if any(other.name == experiment.name for other in others):
        place = part.locate(("name",), False)
        yield Mistake("name", "a name of its own", f"{quote(experiment.name)} again", "", *place)
