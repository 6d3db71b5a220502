"""Text from files and clients, made fit for a terminal."""

LONGEST_TEXT = 2000  # characters
LONGEST_LINE = 300

_MARK = "\N{REPLACEMENT CHARACTER}"


def escape(text: str, longest: int | None = LONGEST_TEXT) -> str:
    """The text, cut after `longest` characters; what is neither printable nor a newline is U+FFFD."""
    cut = text if longest is None or len(text) <= longest else f"{text[:longest]}…"
    if cut.isprintable():
        return cut
    return "".join(character if character.isprintable() or character == "\n" else _MARK for character in cut)


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
