"""Text from files and clients, made fit for a terminal and for a page.

`serve/console/visible.js` is the same for the console.
"""

import re
from unicodedata import category

LONGEST_TEXT = 2000  # characters
LONGEST_LINE = 300

_MARK = "\N{REPLACEMENT CHARACTER}"
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0]")
"""Letters and marks that are nothing to see."""
_RIGHT_TO_LEFT = "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]"
_LEFTWARD = re.compile(f"{_RIGHT_TO_LEFT}+(?: {_RIGHT_TO_LEFT}+)*")
_ISOLATE, _END = "\N{FIRST STRONG ISOLATE}", "\N{POP DIRECTIONAL ISOLATE}"


def escape(text: str, longest: int | None = LONGEST_TEXT) -> str:
    """The text, cut after `longest` characters; what is no newline and cannot be seen is U+FFFD.

    That is what moves a cursor, changes the direction of what stands beside it, or hides.
    """
    cut = text if longest is None or len(text) <= longest else f"{text[:longest]}…"
    if not cut.isascii():
        cut = _INVISIBLE.sub(_MARK, cut)
    if cut.isprintable():
        return cut
    return "".join(character if _is_fit(character) else _MARK for character in cut)


def _is_fit(character: str) -> bool:
    """Whether it is printable, a newline or a space, of which Python calls only one printable."""
    return character.isprintable() or character == "\n" or category(character) == "Zs"


def isolate(text: str) -> str:
    """The escaped text for a page: words from right to left are set apart, and reorder none beside them."""
    if text.isascii():
        return text
    return _LEFTWARD.sub(lambda found: f"{_ISOLATE}{found[0]}{_END}", text)


def escape_line(text: str, longest: int | None = LONGEST_TEXT) -> str:
    """The same as `escape`, in one line: a newline is U+FFFD too, so that no text looks like two."""
    return escape(text, longest).replace("\n", _MARK)


def first_line(error: BaseException, longest: int = LONGEST_LINE) -> str:
    """The first line of the error's text that is not empty, cut, or else the name of its type.

    A first line that ends in a colon announces the others, which then follow in the same line.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return (" ".join(lines) if lines[0].endswith(":") else lines[0])[:longest]
