"""Parsing of long JSON texts in pieces, so that other threads run in between.

Both parsers hold the interpreter for as long as they parse. A long text is cut at commas, and each piece is
completed to a list or an object of its own; the value, what is refused and why are as for the whole text.
"""

import codecs
import json
from collections.abc import Mapping, Sequence
from math import prod
from operator import itemgetter
from secrets import randbits
from time import perf_counter, sleep
from typing import Any, Literal, TypeAlias

import numpy as np
import simdjson

from serve.engine.signature import Array
from serve.protocol.json_parsers import (
    BYTE_ORDER_MARK,
    INVALID,
    NESTING_ERROR,
    make_error,
    parse,
    parse_python,
)
from serve.protocol.json_structure import WINDOW_BYTES, measure_nesting, split_windows
from serve.protocol.long_values import LongList, LongObject, Part, RaggedNumbers

MAX_NESTING = 1024  # as simdjson's
MAX_OPEN = 256  # of the containers that are longer than a window
NumberKind: TypeAlias = Literal["i", "u", "d"]
DTYPES: dict[NumberKind, type[np.generic]] = {"i": np.int64, "u": np.uint64, "d": np.float64}
# Others that wait for the interpreter get it after so long.
TURN_SECONDS = 1e-3


def parse_in_pieces(text: bytes | bytearray | memoryview) -> object:
    """The value as `json_parsers.parse` gives it, with `LongList` and `LongObject` for what is long in it.

    A whole number may be a float beside numbers with fractions. Raises `MalformedRequestError`.
    """
    return _Reader(memoryview(text)).read()


class _Container:
    """A list or an object that began in an earlier window, or the whole text around its value."""

    def __init__(self, opener: bytes) -> None:
        self.opener = opener
        self.value: LongList | LongObject = LongObject() if opener == b"{" else LongList()
        self.is_continued = False
        """Whether a part of it was read, up to a comma."""
        self.kinds: Sequence[NumberKind] = ("i", "u", "d")
        """The kinds of numbers that its next piece may hold, in the order in which they are tried."""
        self.clear()

    def clear(self) -> None:
        """Begin the next piece."""
        self.pending: list[tuple[int, bytes]] = []
        """What is to be parsed next, each with its position in the text."""
        self.children: dict[int, LongList | LongObject] = {}
        """By the numbers that stand for them in `pending`."""


class _Reader:
    def __init__(self, text: memoryview) -> None:
        self._text = text
        self._parser = simdjson.Parser()
        self._stack = [_Container(b"")]
        self._position = 0
        self._began = perf_counter()
        # No text can hold by chance or by intent what is drawn here: the numbers that stand for containers,
        # and the name of the member that completes a piece.
        self._next_number = 2**62 + randbits(61)
        self._mark = f"{randbits(128):x}"

    def read(self) -> object:
        for window in split_windows(self._text):
            if len(self._stack) > MAX_OPEN or len(self._stack) - 1 + window.depth > MAX_NESTING:
                raise make_error(RecursionError(NESTING_ERROR))
            for bracket in window.brackets:
                if self._text[bracket] in b"[{":
                    self._open(bracket)
                elif len(self._stack) > 1:
                    self._close(bracket)
            if window.ends_with_comma and len(self._stack) > 1:
                self._hold(window.end - 1)
                self._take_piece(
                    b",0]" if self._stack[-1].opener == b"[" else b',"%s":0}' % self._mark.encode()
                )
                self._position = window.end
            else:
                self._hold(window.end)
            self._take_turns()
        return self._finish()

    def _take_turns(self) -> None:
        if perf_counter() - self._began > TURN_SECONDS:
            sleep(0)
            self._began = perf_counter()

    def _hold(self, end: int) -> None:
        """Keep the text up to here for the innermost container's next piece."""
        if end > self._position:
            piece = bytes(self._text[self._position : end])
            self._stack[-1].pending.append((self._position, piece))
            self._position = end

    def _open(self, bracket: int) -> None:
        self._hold(bracket)
        parent, child = self._stack[-1], _Container(bytes(self._text[bracket : bracket + 1]))
        # Between spaces, so that it joins no number beside it.
        parent.pending += [(bracket, b" "), (bracket, b"%d" % self._next_number), (bracket, b" ")]
        parent.children[self._next_number] = child.value
        self._next_number += 1
        self._stack.append(child)
        self._position = bracket + 1

    def _close(self, bracket: int) -> None:
        self._hold(bracket)
        self._take_piece(bytes(self._text[bracket : bracket + 1]))
        self._stack.pop()
        self._position = bracket + 1

    def _finish(self) -> object:
        container = self._stack[-1]
        value = self._parse(container, b"")
        if len(self._stack) > 1:
            raise AssertionError("a list or object without its end was parsed")
        return _resolve(value, container.children)

    def _take_piece(self, suffix: bytes) -> None:
        """Parse what the innermost container holds, and add it to the container's value."""
        container = self._stack[-1]
        value = self._parse(container, suffix)
        if isinstance(container.value, LongObject):
            members = value.as_dict() if isinstance(value, simdjson.Object) else value
            assert isinstance(members, dict)
            members.pop(self._mark, None)
            if container.children:
                members = {name: _resolve(member, container.children) for name, member in members.items()}
            container.value.update(members)
        else:
            bounds = slice(int(container.is_continued), -1 if suffix.startswith(b",") else None)
            _add_values(container, value, bounds)
        container.clear()
        container.is_continued = True

    def _parse(self, container: _Container, suffix: bytes) -> object:
        try:
            return parse(self._complete(container) + suffix, self._parser)
        except INVALID as error:
            raise make_error(self._explain(error)) from error

    def _complete(self, container: _Container) -> bytes:
        """The container's next piece, with the beginning of a list or an object before it."""
        return b"".join((self._begin(container), *(piece for _, piece in container.pending)))

    def _begin(self, container: _Container) -> bytes:
        if not container.is_continued:
            return container.opener
        return b"[0," if container.opener == b"[" else b'{"%s":0,' % self._mark.encode()

    def _explain(self, error: Exception) -> Exception:
        """The first error in the text, which may be in what is not parsed yet."""
        try:
            self._check_encoding()
        except UnicodeDecodeError as invalid:
            return invalid
        errors = [(self._locate(self._stack[-1], error), error)]
        for container in reversed(self._stack[:-1]):
            try:
                parse_python(self._complete(container))
            except INVALID as earlier:
                errors.append((self._locate(container, earlier), earlier))
        position, first = min(errors, key=itemgetter(0))
        if not isinstance(first, json.JSONDecodeError):
            return first
        before = str(self._text[:position], BYTE_ORDER_MARK)
        return json.JSONDecodeError(first.msg, before, len(before))

    def _check_encoding(self) -> None:
        """Raise `UnicodeDecodeError` for what is not UTF-8."""
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            for start in range(0, len(self._text), WINDOW_BYTES):
                decoder.decode(self._text[start : start + WINDOW_BYTES])
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            str(self._text, BYTE_ORDER_MARK)  # raises it with the position in the whole text

    def _locate(self, container: _Container, error: Exception) -> int:
        """The error's position in the text; where the container's piece begins if the error does not say."""
        offset = 0
        if isinstance(error, json.JSONDecodeError):
            offset = len(error.doc[: error.pos].encode()) - len(self._begin(container))
            if container.opener == b"" and bytes(self._text[:3]) == codecs.BOM_UTF8:
                offset += 3
        for start, piece in container.pending:
            if offset < len(piece):
                return start + offset  # negative at the comma before the piece
            offset -= len(piece)
        return self._position + min(offset, 0)


def _resolve(value: object, children: dict[int, LongList | LongObject]) -> object:
    return children.get(value, value) if type(value) is int else value


def _add_values(container: _Container, value: object, bounds: slice) -> None:
    assert isinstance(container.value, LongList)
    parts = container.value.parts
    if isinstance(value, simdjson.Array) and not container.children:
        numbers = _read_numbers(value, bounds, container)
        if numbers is not None:
            parts.append(numbers)
            return
    values = value.as_list() if isinstance(value, simdjson.Array) else value
    assert isinstance(values, list)
    values = values[bounds]
    start = 0
    for position in _find_children(values, container.children):
        parts += _to_parts(values[start:position])
        parts.append(container.children[values[position]])
        start = position + 1
    parts += _to_parts(values[start:])


def _find_children(values: list[Any], children: Mapping[int, object]) -> list[int]:
    if not children:
        return []
    return [place for place, value in enumerate(values) if type(value) is int and value in children]


def _read_numbers(
    values: simdjson.Array, bounds: slice, container: _Container
) -> Array | RaggedNumbers | None:
    """The numbers, as they are nested; None if there is anything else."""
    for kind in container.kinds:
        try:
            flat = np.frombuffer(values.as_buffer(of_type=kind), DTYPES[kind])[bounds]
        except (TypeError, ValueError):
            continue
        if kind == "d":
            # A list with a fraction in it is of no use to an input of whole numbers.
            container.kinds = ("d",)
        text = b"".join(piece for _, piece in container.pending)
        shape = measure_nesting(text) if b"[" in text else (flat.size,)
        if shape is not None and prod(shape) == flat.size:
            return flat.reshape(shape)
        return RaggedNumbers(flat, b"[%s]" % text, len(range(*bounds.indices(len(values)))))
    return None


def _to_parts(values: list[Any]) -> list[Part]:
    """The values as a part of a list; as an array if they are numbers that only Python reads, such as NaN."""
    kinds = set(map(type, values))
    if float in kinds and kinds <= {float, int}:
        try:
            return [np.array(values, np.float64)]
        except OverflowError:
            pass  # a whole number beyond the largest of 64 bits
    return [values] if values else []
