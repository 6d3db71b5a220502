"""Where a long JSON text can be cut: its brackets and commas outside strings, found window by window."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# A window's values take the parsers a millisecond or less, in which no other thread runs.
WINDOW_BYTES = 64 * 2**10
QUOTE, COMMA = b'"'[0], b","[0]
# The two kinds of brackets differ in one bit.
KIND_BIT = 0x20
OPENER, CLOSER = b"{"[0], b"}"[0]
NUMBER_BYTES = b"0123456789+-.eE \t\r\n"
MAX_RANK = 32
COUNTED_BYTES = 2**20

Positions = NDArray[np.intp]


class Window(NamedTuple):
    """A part of the text, and its brackets whose partners are in other parts: closers, then openers."""

    start: int
    end: int
    brackets: list[int]
    """Positions in the text."""
    ends_with_comma: bool
    """Whether the last byte is a comma between two values of the container that is open there."""
    depth: int
    """By how much the deepest container in the window is below its start."""


class _Marks(NamedTuple):
    """The brackets and commas of a window outside strings: positions, codes, and the depth after each."""

    positions: Positions
    codes: NDArray[np.uint8]
    depths: NDArray[np.intp]
    ends_in_string: bool


def split_windows(text: memoryview) -> Iterator[Window]:
    """The text in windows of at most WINDOW_BYTES, cut where few containers are open if there is a choice."""
    start, in_string = 0, False
    while start < len(text):
        raw = bytes(text[start : start + WINDOW_BYTES])
        if start + len(raw) < len(text):
            raw = _without_half_escape(raw)
        # A long list of numbers: no mark but its commas.
        if not in_string and not any(code in raw for code in b'"[]{}'):
            comma = raw.rfind(b",")
            end = start + (comma + 1 or len(raw))
            yield Window(start, end, [], comma >= 0, 0)
        else:
            marks = _find_marks(raw, in_string)
            marks, end, in_string = _choose_end(marks, len(raw))
            yield _make_window(start, end, marks)
            end += start
        start = end


def _without_half_escape(raw: bytes) -> bytes:
    """The window without a last backslash whose escape would continue in the next one."""
    backslashes = len(raw) - len(raw.rstrip(b"\\"))
    return raw[:-1] if backslashes % 2 else raw


def _find_marks(raw: bytes, in_string: bool) -> _Marks:
    if b"\\" in raw:
        raw = raw.replace(b"\\\\", b"..").replace(b'\\"', b"..")
    codes = np.frombuffer(raw, np.uint8)
    kinds = codes | KIND_BIT
    is_mark = (kinds == OPENER) | (kinds == CLOSER) | (codes == COMMA)
    if in_string or b'"' in raw:
        inside = (np.cumsum(codes == QUOTE, dtype=np.uint8) & 1).astype(np.bool_) ^ in_string
        is_mark &= ~inside
        in_string = bool(inside[-1])
    positions = np.flatnonzero(is_mark)
    kinds = kinds[positions]
    depths = np.cumsum((kinds == OPENER).astype(np.int8) - (kinds == CLOSER), dtype=np.intp)
    return _Marks(positions, codes[positions], depths, in_string)


def _choose_end(marks: _Marks, size: int) -> tuple[_Marks, int, bool]:
    """The marks up to the window's end, that end, and whether it is inside a string.

    The end is the last of the second half's commas with the fewest containers open, so that the rows of a
    matrix are not cut; since no window is shorter than half, the whole text is read at most twice.
    """
    later = np.flatnonzero((marks.codes == COMMA) & (marks.positions >= WINDOW_BYTES // 2))
    if not later.size:
        return marks, size, marks.ends_in_string
    depths = marks.depths[later]
    last = int(later[np.flatnonzero(depths == depths.min())[-1]])
    upto = slice(last + 1)
    chosen = _Marks(marks.positions[upto], marks.codes[upto], marks.depths[upto], False)
    return chosen, int(marks.positions[last]) + 1, False


def _make_window(start: int, end: int, marks: _Marks) -> Window:
    positions, codes, depths, _ = marks
    if not positions.size:
        return Window(start, start + end, [], False, 0)
    kinds = codes | KIND_BIT
    # A closer without its opener reaches a new low; an opener without its closer is never undercut.
    lowest = np.minimum.accumulate(np.minimum(depths, 0))
    closers = np.flatnonzero((kinds == CLOSER) & (depths < np.concatenate(([0], lowest[:-1]))))
    ahead = np.minimum.accumulate(depths[::-1])[::-1]
    openers = np.flatnonzero((kinds == OPENER) & (ahead >= depths))
    brackets = start + positions[np.concatenate((closers, openers))]
    ends_with_comma = bool(codes[-1] == COMMA and positions[-1] == end - 1)
    return Window(start, start + end, brackets.tolist(), ends_with_comma, int(depths.max()))


def measure_nesting(text: bytes) -> tuple[int, ...] | None:
    """The shape of numbers in nested lists, all of one shape, between the outermost brackets; None if not so.

    An empty list counts as one with a number: the caller compares how many there are.
    """
    structure = text.translate(None, NUMBER_BYTES)
    shape: list[int] = []
    while structure.startswith(b"["):
        depth = len(structure) - len(structure.lstrip(b"["))
        end = structure.find(b"]" * depth)
        first = structure[: end + depth]
        count, rest = divmod(len(structure) + 1, len(first) + 1)
        if end < 0 or rest or structure != b",".join([first] * count) or len(shape) == MAX_RANK:
            return None
        shape.append(count)
        structure = first[1:-1]
    return None if b"[" in structure else (*shape, structure.count(b",") + 1)


def count_values(text: bytes | bytearray | memoryview) -> int:
    """At most how many values the text can hold: each begins a list or an object, or follows a comma."""
    view = memoryview(text)
    total = 0
    for start in range(0, len(view), COUNTED_BYTES):
        codes = np.frombuffer(view[start : start + COUNTED_BYTES], np.uint8)
        for code in b",[{":
            total += int(np.count_nonzero(codes == code))
    return total
