"""JSON of requests: parsed fast, bounded, and with the NaN and Infinity that the protocol's clients write."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import simdjson

from serve.engine.errors import MalformedRequestError
from serve.protocol.json_parsers import INVALID, make_error, parse, parse_simdjson
from serve.protocol.json_pieces import parse_in_pieces
from serve.protocol.json_structure import count_values
from serve.protocol.long_values import LongList, LongObject, to_plain

# A JSON value costs up to some 70 bytes of memory once parsed; a binary tensor only its own size.
MAX_VALUES = 4 * 2**20
MAX_DEPTH = 64
# simdjson searches an object from its start for each name.
MAX_MEMBERS = 32
# From here on a text takes milliseconds, and so is to be parsed in a thread, which then lets others run.
LONG_BYTES = 128 * 2**10
# A parser takes some twenty times the text's size in memory: keeping it saves allocating it again.
KEPT_PARSER = simdjson.Parser()
Value: TypeAlias = "dict[str, Value] | list[Value] | str | int | float | bool | None"


def parse_json(text: bytes | bytearray | memoryview) -> object:
    """The JSON value, plain, or as simdjson's or as a long text's lists and objects.

    Raises `MalformedRequestError`.
    """
    _check_size(text)
    if len(text) > LONG_BYTES:
        return parse_in_pieces(text)
    text = bytes(text) if isinstance(text, memoryview) else text
    try:
        return parse_simdjson(text, KEPT_PARSER)
    except (ValueError, RuntimeError):
        # The kept parser also refuses while a value of an earlier text lives, in a traceback or a thread.
        return _parse_anew(text)


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


def read_items(value: object) -> "list[Any] | LongList | simdjson.Array | None":
    """A JSON list's values, unconverted; None for other values."""
    return value if isinstance(value, (list, LongList, simdjson.Array)) else None


def to_python(value: object) -> Value:
    """The value with dicts and lists in place of simdjson's and of a long text's objects and lists."""
    if isinstance(value, simdjson.Object):
        return value.as_dict()
    if isinstance(value, simdjson.Array):
        return value.as_list()
    if isinstance(value, (LongList, LongObject)):
        value = to_plain(value)
    return value  # type: ignore[return-value]  # what parse_json gives is a JSON value


def _parse_anew(text: bytes | bytearray) -> object:
    try:
        return parse(text, simdjson.Parser())
    except INVALID as error:
        raise make_error(error) from error


def _check_size(text: bytes | bytearray | memoryview) -> None:
    # Each value but the first of its list takes a comma: a short text cannot hold too many.
    if len(text) > 2 * MAX_VALUES and count_values(text) > MAX_VALUES:
        raise MalformedRequestError(
            f"the JSON text holds more than `{MAX_VALUES}` values; send large tensors in binary"
        )
