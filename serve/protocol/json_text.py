"""Parsing of JSON: fast, bounded, and with the NaN and Infinity that the protocol's clients write."""

import json
from collections.abc import Collection, Mapping
from math import isinf
from typing import TypeAlias

import simdjson

from serve.engine.errors import MalformedRequestError

# A JSON value costs up to some 70 bytes of memory once parsed; a binary tensor only its own size.
MAX_VALUES = 4 * 2**20
MAX_DEPTH = 64
# Below this, converting all values at once is faster than asking simdjson's objects for each.
SHORT_BYTES = 512
# simdjson searches an object from its start for each name.
MAX_MEMBERS = 32
# A parser takes some twenty times the text's size in memory: a kept one saves allocating it again, and a
# large one is not kept.
KEPT_PARSER = simdjson.Parser()
KEPT_BYTES = 2**20
Value: TypeAlias = "dict[str, Value] | list[Value] | str | int | float | bool | None"


def parse_json(text: bytes | bytearray | memoryview) -> object:
    """The JSON value, plain or as simdjson's `Object` or `Array`; raises `MalformedRequestError`."""
    text = bytes(text) if isinstance(text, memoryview) else text
    _check_size(text)
    try:
        return _parse_simdjson(text)
    except (ValueError, RuntimeError):
        # The standard has no NaN, but the protocol's own client writes it; and a whole number may exceed
        # simdjson's widest, as JavaScript's 1e20 does.
        return _parse_python(text)


def parse_object(text: bytes | bytearray) -> dict[str, Value]:
    """The JSON object, empty for an empty text; raises `MalformedRequestError` for other values."""
    value = to_python(parse_json(text)) if text else {}
    if not isinstance(value, dict):
        raise MalformedRequestError("the body is not a JSON object")
    return value


def read_members(value: object) -> Mapping[str, object] | None:
    """A JSON object's values by name, unconverted if they are few; None for other values.

    Of values with the same name the last counts.
    """
    if not isinstance(value, simdjson.Object):
        return value if isinstance(value, dict) else None
    if len(value) > MAX_MEMBERS:
        return value.as_dict()
    try:
        # Its own `get` takes microseconds for a missing name, and `items` copies every list.
        members = {name: value[name] for name in value}
    except KeyError:
        # A name with a NUL, at which the look-up ends the name.
        return value.as_dict()
    return members if len(members) == len(value) else value.as_dict()


def read_items(value: object) -> Collection[object] | None:
    """A JSON list's values, unconverted; None for other values."""
    return value if isinstance(value, (list, simdjson.Array)) else None


def to_python(value: object) -> Value:
    """The value with simdjson's objects and arrays converted to dicts and lists."""
    if isinstance(value, simdjson.Object):
        return value.as_dict()
    if isinstance(value, simdjson.Array):
        return value.as_list()
    return value  # type: ignore[return-value]  # what parse_json gives is a JSON value


def _parse_simdjson(text: bytes | bytearray) -> object:
    """simdjson's value; raises `ValueError`, or `RuntimeError` for numbers or nesting beyond its limits."""
    try:
        return _parse_with(text, KEPT_PARSER if len(text) <= KEPT_BYTES else simdjson.Parser())
    except RuntimeError:
        # The kept parser refuses while a value of an earlier text lives, for example in a traceback.
        return _parse_with(text, simdjson.Parser())


def _parse_with(text: bytes | bytearray, parser: simdjson.Parser) -> object:
    return parser.parse(text, recursive=True) if len(text) < SHORT_BYTES else parser.parse(text)


def _check_size(text: bytes | bytearray) -> None:
    # Each value but the first of its list takes a comma: a short text cannot hold too many.
    if len(text) <= 2 * MAX_VALUES:
        return
    if text.count(b",") + text.count(b"[") + text.count(b"{") > MAX_VALUES:
        raise MalformedRequestError(
            f"the JSON text holds more than `{MAX_VALUES}` values; send large tensors in binary"
        )


def _parse_python(text: bytes | bytearray) -> object:
    """Python's value: the standard, NaN, infinities, and whole numbers of any size."""
    try:
        value = json.loads(str(text, "utf-8-sig"), parse_float=_parse_float)
        if b"\\u" in text:
            # Python accepts half of a surrogate pair, which cannot be written again.
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise MalformedRequestError(f"the body is not valid JSON: {error}") from error
    return value


def _parse_float(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise ValueError("a number is too large for 64 bits")
    return number
