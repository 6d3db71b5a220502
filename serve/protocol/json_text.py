"""JSON text in: fast, bounded, and with the NaN and Infinity that clients of the protocol write."""

import json
from collections.abc import Collection, Mapping
from math import isinf
from typing import TypeAlias

import simdjson

from serve.engine.errors import MalformedRequestError

# A JSON value costs up to some 70 bytes of memory once read; a binary tensor costs what it weighs.
MAX_VALUES = 4 * 2**20
MAX_DEPTH = 64
# Below this, making Python objects at once is quicker than asking simdjson's for each value.
SHORT_BYTES = 512
# simdjson goes through an object from its start for each name that it is asked for.
MAX_MEMBERS = 32
# A parser takes some twenty times the text's size in memory, so keeping one saves asking for it again,
# and a large one is not kept.
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
        # The standard has no NaN, but the protocol's own client writes it; and a whole number may be larger
        # than simdjson's widest, as JavaScript's 1e20 is.
        return _parse_python(text)


def parse_object(text: bytes | bytearray) -> dict[str, Value]:
    """The JSON object; an empty one for no text at all; raises `MalformedRequestError` for anything else."""
    value = to_python(parse_json(text)) if text else {}
    if not isinstance(value, dict):
        raise MalformedRequestError("the body is not a JSON object")
    return value


def read_members(value: object) -> Mapping[str, object] | None:
    """A JSON object's values by name, each as it was parsed if they are few; None if it is not an object.

    Of values by the same name the last counts.
    """
    if not isinstance(value, simdjson.Object):
        return value if isinstance(value, dict) else None
    if len(value) > MAX_MEMBERS:
        return value.as_dict()
    try:
        # Its own `get` takes microseconds for a name that is not there, and `items` copies every list.
        found = {name: value[name] for name in value}
    except KeyError:
        # A name with a NUL in it, where the name that is looked up ends.
        return value.as_dict()
    return found if len(found) == len(value) else value.as_dict()


def read_items(value: object) -> Collection[object] | None:
    """A JSON list's values, each as it was parsed; None if the value is not a list."""
    return value if isinstance(value, (list, simdjson.Array)) else None


def to_python(value: object) -> Value:
    """The value with simdjson's objects and arrays turned into dicts and lists."""
    if isinstance(value, simdjson.Object):
        return value.as_dict()
    if isinstance(value, simdjson.Array):
        return value.as_list()
    return value  # type: ignore[return-value]  # what parse_json gives is a JSON value


def _parse_simdjson(text: bytes | bytearray) -> object:
    """What simdjson reads; raises `ValueError`, or `RuntimeError` for numbers or nesting beyond its own."""
    try:
        return _parse_with(text, KEPT_PARSER if len(text) <= KEPT_BYTES else simdjson.Parser())
    except RuntimeError:
        # It refuses as long as a value of an earlier text lives, as in the traceback of an error.
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
    """What Python reads: the standard, NaN, infinities, and whole numbers of any size."""
    try:
        value = json.loads(str(text, "utf-8-sig"), parse_float=_parse_float)
        if b"\\u" in text:
            # Python takes half of a surrogate pair for a character, which nothing can write again.
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise MalformedRequestError(f"the body is not valid JSON: {error}") from error
    return value


def _parse_float(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise ValueError("a number is too large for 64 bits")
    return number
