"""A definition from plain data, with every mistake named by its place, what is expected and what is there."""

import difflib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from serve.engine.errors import quote, quote_names
from serve.experiments.definition import INCONSISTENT, Experiment
from serve.experiments.errors import DefinitionError, Mistake
from serve.experiments.units import MAX_UNIT_CHARACTERS

Path: TypeAlias = tuple[str | int, ...]
"""The way to a field: `("metrics", 0, "kind")`."""
Place: TypeAlias = tuple[str, int, int]
"""File, line and column, as in a `Mistake`."""
NOWHERE: Place = ("", 0, 0)

MAX_MISTAKES = 100
_KEY = "[key]"  # pydantic's name for the key of an entry, where the value has no name of its own
_PATTERN_WORDS = {
    "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$": "a name of up to 64 letters, digits and `._-`",
    "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$": "a name of up to 128 letters, digits and `._-`",
    "^([1-9][0-9]{0,17}|[a-z][a-z0-9_-]{0,31})$": "a version such as `2`, or an alias such as `stable`",
}


def parse_experiment(
    document: object, locate: Callable[[Path, bool], Place] = lambda path, is_key: NOWHERE
) -> Experiment:
    """The experiment of the document, which is what JSON or YAML hold.

    `locate` gives the place of a field's value, or of its key. Raises `DefinitionError` with all mistakes.
    """
    try:
        return Experiment.model_validate(document)
    except ValidationError as error:
        found = [mistake for details in _leave_out_echoes(error) for mistake in _explain(details, locate)]
        raise DefinitionError(found[:MAX_MISTAKES]) from error


def show_path(path: Path) -> str:
    """The path as people write it: `metrics[0].kind`; keys that are no names are quoted."""
    shown = ""
    for part in path:
        if isinstance(part, int):
            shown += f"[{part}]"
        elif part.isidentifier():
            shown += f".{part}" if shown else part
        else:
            shown += "[" + quote(part).strip("`") + "]"
    return shown


def _leave_out_echoes(error: ValidationError) -> list[ErrorDetails]:
    """Without what only follows from another mistake: a list without its wrong items is called too short."""
    found = error.errors()
    parents = {details["loc"][:length] for details in found for length in range(len(details["loc"]))}
    return [
        details
        for details in found
        if details["type"] != "default_factory_not_called"
        and (details["type"] != "too_short" or details["loc"] not in parents)
    ]


def _explain(details: ErrorDetails, locate: Callable[[Path, bool], Place]) -> Iterator[Mistake]:
    """The mistakes behind one of pydantic's errors."""
    kind, path, got = details["type"], tuple(details["loc"]), details["input"]
    if kind == INCONSISTENT:
        for wrong in details["ctx"]["mistakes"]:
            yield _mistake(wrong.path, wrong.expected, wrong.got, locate(wrong.path, False), wrong.hint)
    elif kind == "missing":
        yield _mistake(path, _describe(_schema_at(path)), "nothing", locate(path, False))
    elif kind == "extra_forbidden":
        known = list(_resolve(_schema_at(path[:-1])).get("properties", {}))
        hint = suggest(str(path[-1]), known)
        expected = "a known field" if hint else f"one of the fields {quote_names(known)}"
        yield _mistake(path[:-1], expected, quote(path[-1]), locate(path, True), hint)
    elif path and path[-1] == _KEY:
        expected = f"keys of 1 to {MAX_UNIT_CHARACTERS} characters"
        yield _mistake(path[:-2], expected, show(got), locate(path[:-1], True))
    else:
        schema = _schema_at(path)
        hint = suggest(got, schema.get("enum", [])) if isinstance(got, str) else ""
        yield _mistake(path, _describe(schema), show(got), locate(path, False), hint)


def _mistake(path: Path, expected: str, got: str, place: Place, hint: str = "") -> Mistake:
    return Mistake(show_path(path), expected, got, hint, *place)


def suggest(name: str, known: Sequence[str]) -> str:
    """`did you mean ...?`, where one of the names is close; empty otherwise."""
    close = difflib.get_close_matches(name[:64].lower().replace("-", "_"), known, n=1)
    return f"did you mean {quote(close[0])}?" if close else ""


@functools.cache
def json_schema() -> dict[str, Any]:
    """The JSON Schema of a definition, for editors and the admin API's page."""
    return Experiment.model_json_schema()


def _schema_at(path: Path) -> dict[str, Any]:
    """The schema of the field; empty for one that is not known."""
    schema = _resolve(json_schema())
    for part in path:
        if isinstance(part, int):
            schema = schema.get("items", {})
        else:
            schema = schema.get("properties", {}).get(part) or schema.get("additionalProperties") or {}
        schema = _resolve(schema) if isinstance(schema, dict) else {}
    return schema


def _resolve(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema that a reference means, or the first of several, the one that is not null."""
    if "anyOf" in schema:
        schema = {**schema["anyOf"][0], "nullable": schema["anyOf"][-1] == {"type": "null"}}
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        schema = {**json_schema()["$defs"][name], "nullable": schema.get("nullable", False)}
    return schema


def _describe(schema: dict[str, Any]) -> str:
    """What a field takes, in words."""
    schema = _resolve(schema)
    described = _describe_type(schema)
    return f"{described}, or null" if schema.get("nullable") else described


def _describe_type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return f"one of: {quote_names(schema['enum'])}"
    if "pattern" in schema:
        return _PATTERN_WORDS[schema["pattern"]]
    describe = _TYPES.get(schema.get("type", ""))
    return describe(schema) if describe else "nothing"


def _describe_number(schema: dict[str, Any]) -> str:
    noun = "a whole number" if schema["type"] == "integer" else "a number"
    above, most = schema.get("exclusiveMinimum"), schema["maximum"]
    if above is None:
        return f"{noun} from {schema['minimum']:,} to {most:,}"
    return f"{noun} above {above:,}, at most {most:,}"


def _describe_mapping(schema: dict[str, Any]) -> str:
    if "properties" in schema:
        return f"a mapping with the fields {quote_names(list(schema['properties']))}"
    return f"a mapping of up to {schema['maxProperties']:,}"


_TYPES: dict[str, Callable[[dict[str, Any]], str]] = {
    "integer": _describe_number,
    "number": _describe_number,
    "object": _describe_mapping,
    "array": lambda schema: f"a list of {schema.get('minItems', 0)} to {schema['maxItems']}",
    "string": lambda schema: f"a text of {schema['minLength']} to {schema['maxLength']} characters",
    "boolean": lambda schema: "`true` or `false`",
}


def show(value: object) -> str:
    """What is there: a single value itself, of a list or a mapping its size."""
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"a mapping of {len(value)}"
    if value is None or isinstance(value, bool):
        return f"`{'null' if value is None else str(value).lower()}`"
    shown = quote(value)
    return f"the text {shown}" if isinstance(value, str) else shown
