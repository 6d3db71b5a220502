"""The two parsers of JSON: simdjson, and Python's for what simdjson refuses."""

import json
from math import isinf

import simdjson

from serve.engine.errors import MalformedRequestError

# Below this, converting all values at once is faster than asking simdjson's objects for each.
SHORT_BYTES = 512
BYTE_ORDER_MARK = "utf-8-sig"  # Python's codec that leaves it out
# What Python's parser raises for a text that is not JSON; UnicodeError and JSONDecodeError are ValueErrors.
INVALID = (ValueError, RecursionError)
NESTING_ERROR = "maximum recursion depth exceeded"


def parse(text: bytes | bytearray, parser: simdjson.Parser) -> object:
    """The value, plain or as simdjson's `Object` or `Array`; raises an error of INVALID.

    The standard has no NaN, but the protocol's own client writes it; and a whole number may exceed simdjson's
    widest, as JavaScript's 1e20 does.
    """
    try:
        return parse_simdjson(text, parser)
    except (ValueError, RuntimeError):
        return parse_python(text)


def parse_simdjson(text: bytes | bytearray, parser: simdjson.Parser) -> object:
    """simdjson's value; raises `ValueError`, or `RuntimeError` for numbers or nesting beyond its limits.

    Raises `RuntimeError` too while a value of the parser's last text lives.
    """
    return parser.parse(text, recursive=True) if len(text) < SHORT_BYTES else parser.parse(text)


def parse_python(text: bytes | bytearray) -> object:
    """Python's value: the standard, NaN, infinities, and whole numbers of any size; raises INVALID."""
    try:
        value = json.loads(str(text, BYTE_ORDER_MARK), parse_float=_parse_float)
    except RecursionError as error:
        raise RecursionError(NESTING_ERROR) from error  # Python's text says what it was decoding
    if b"\\u" in text:
        # Python accepts half of a surrogate pair, which cannot be written again.
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ValueError("a text holds half of a surrogate pair") from error
    return value


def make_error(error: Exception) -> MalformedRequestError:
    """The error that a client gets for an error of INVALID."""
    return MalformedRequestError(f"the body is not valid JSON: {error}")


def _parse_float(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise ValueError("a number is too large for 64 bits")
    return number
