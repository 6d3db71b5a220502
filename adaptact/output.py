"""Results on standard output as plain lines and as JSON; without rich, which a server need not load."""

import codecs
import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any, TextIO

from adaptact.errors import ClosedPipeError, OutputError
from adaptact.text import escape_line

_SILENT: ContextVar[bool] = ContextVar("silent", default=False)


@contextlib.contextmanager
def silence(silent: bool = True) -> Iterator[None]:
    """In the block no result for people is printed, nor progress: errors and JSON still are."""
    token = _SILENT.set(silent)
    try:
        yield
    finally:
        _SILENT.reset(token)


def is_silent() -> bool:
    """Whether results for people are not to be printed."""
    return _SILENT.get()


def allow_any_text() -> None:
    """From now on a character that standard output's encoding lacks is a `?`, and no error."""
    stream = sys.stdout
    if isinstance(stream, io.TextIOWrapper) and codecs.lookup(stream.encoding).name != "utf-8":
        stream.reconfigure(errors="replace")


def print_lines(*lines: str) -> None:
    """The lines are on standard output, escaped and never broken. Raises OutputError."""
    if is_silent():
        return
    with require_printed():
        for line in lines:
            sys.stdout.write(f"{escape_line(line, longest=None)}\n")


def print_json(result: Mapping[str, Any]) -> None:
    """The result is on standard output as one line of JSON. Raises OutputError.

    Raises ValueError where a number is not finite: JSON has no word for it.
    """
    # DEL is the one control character that JSON leaves as it is.
    line = json.dumps(result, allow_nan=False).replace("\x7f", "\\u007f")
    with require_printed():
        sys.stdout.write(f"{line}\n")


@contextlib.contextmanager
def require_printed() -> Iterator[None]:
    """What the block prints has left the process when it ends.

    Raises OutputError where that fails, and ClosedPipeError where nobody reads it any more.
    """
    if sys.stdout is None:  # Python's own sign of a descriptor that was closed before it started
        raise OutputError("cannot print the result: standard output is closed")
    allow_any_text()
    try:
        yield
        sys.stdout.flush()
    except (BrokenPipeError, ClosedPipeError) as error:
        discard_rest(sys.stdout)
        raise ClosedPipeError("nobody reads the result any more") from error
    except OSError as error:
        discard_rest(sys.stdout)
        raise OutputError(f"cannot print the result: {error.strerror or error}") from error


def discard_rest(stream: TextIO) -> None:
    """What is left in the stream's buffer would be tried again, and fail again, as the process ends."""
    with contextlib.suppress(OSError):  # a replaced stream has no descriptor
        descriptor = stream.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
