"""JSON text in: fast, bounded, and with the NaN and Infinity that clients of the protocol write."""

import json
from collections.abc import Iterable
from contextlib import suppress
from typing import TypeAlias

import orjson
import simdjson

from serve.engine.errors import MalformedRequestError

# A JSON value costs up to some 70 bytes of memory once read; a binary tensor costs what it weighs.
MAX_VALUES = 4 * 2**20
MAX_DEPTH = 64
# Below this, making Python objects at once is quicker than asking simdjson's for each value.
SHORT_BYTES = 1024

# A parser takes some twenty times the text's size in memory, so keeping one saves asking for it again,
# and a large one is not kept.
KEPT_PARSER = simdjson.Parser()
KEPT_BYTES = 2**20

Value: TypeAlias = "dict[str, Value] | list[Value] | str | int | float | bool | None"


def parse_json(text: bytes | bytearray | memoryview) -> object:
    """The JSON value, plain or as simdjson's `Object` or `Array`; raises `MalformedRequestError`."""
    if len(text) < SHORT_BYTES:
        try:
            return orjson.loads(text)
        except ValueError:
            pass  # simdjson says what is wrong, or it is a NaN
    text = bytes(text) if isinstance(text, memoryview) else text
    _check_size(text)
    try:
        return _simdjson(text)
    except (ValueError, RuntimeError) as error:
        # simdjson follows the standard, which has no NaN; the protocol's own client writes it.
        if b"NaN" in text or b"Infinity" in text:
            return _parse_with_nan(text)
        raise MalformedRequestError(f"the body is not valid JSON: {_first_sentence(error)}") from error


def parse_object(text: bytes | bytearray) -> dict[str, Value]:
    """The JSON object; an empty one for no text at all; raises `MalformedRequestError` for anything else."""
    value = plain(parse_json(text)) if text else {}
    if not isinstance(value, dict):
        raise MalformedRequestError("the body is not a JSON object")
    return value


def members(value: object) -> dict[str, object] | None:
    """A JSON object's values by name, each as it was parsed; None if the value is not an object."""
    if isinstance(value, simdjson.Object):
        # Its own `get` takes microseconds for a name that is not there, and `items` copies every list.
        return {name: value[name] for name in value}
    return value if isinstance(value, dict) else None


def items(value: object) -> Iterable[object] | None:
    """A JSON list's values, each as it was parsed; None if the value is not a list."""
    return value if isinstance(value, (list, simdjson.Array)) else None


def plain(value: object) -> Value:
    """The value with simdjson's objects and arrays turned into dicts and lists."""
    if isinstance(value, simdjson.Object):
        return value.as_dict()
    if isinstance(value, simdjson.Array):
        return value.as_list()
    return value  # type: ignore[return-value]  # what parse_json gives is a JSON value


def _simdjson(text: bytes | bytearray) -> object:
    """What simdjson reads; raises `ValueError`, or `RuntimeError` for nesting that is too deep."""
    if len(text) <= KEPT_BYTES:
        # It refuses as long as a value of an earlier text lives, as in the traceback of an error.
        with suppress(RuntimeError):
            return KEPT_PARSER.parse(text)
    return simdjson.Parser().parse(text)


def _check_size(text: bytes | bytearray) -> None:
    # Each value but the first of its list takes a comma: a short text cannot hold too many.
    if len(text) <= 2 * MAX_VALUES:
        return
    if text.count(b",") + text.count(b"[") + text.count(b"{") > MAX_VALUES:
        raise MalformedRequestError(
            f"the JSON text holds more than `{MAX_VALUES}` values; send large tensors in binary"
        )


def _parse_with_nan(text: bytes | bytearray) -> object:
    try:
        value = json.loads(text)
        if b"\\u" in text:
            # Python takes half of a surrogate pair for a character, which nothing can write again.
            orjson.dumps(value)
    except (ValueError, TypeError, RecursionError) as error:
        raise MalformedRequestError(f"the body is not valid JSON: {_first_sentence(error)}") from error
    return value


def _first_sentence(error: Exception) -> str:
    return str(error).split("\n", maxsplit=1)[0].split(". ", maxsplit=1)[0].strip().rstrip(".")
