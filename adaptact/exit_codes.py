"""How every command ends: its exit codes, and the one place where an error becomes one of them."""

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from adaptact.errors import AdaptactError, ClosedPipeError, UsageError
from adaptact.output import allow_any_text, discard_rest
from adaptact.suggestions import suggest_file

_MISSING = re.compile(r"`([^`\n]+)` does not exist")
FINE = 0
FAILED = 1
WRONG_USE = 2
PARITY_FAILED = 3
CLOSED_PIPE = 141
"""What a shell says of a program that the signal SIGPIPE ended, as most others are."""

_OWN: Mapping[type[Exception], int] = {AdaptactError: FAILED, UsageError: WRONG_USE}


def run(app: Callable[[], object], statuses: Mapping[type[Exception], int]) -> None:
    """The command has run; an error of a type in `statuses`, or of this package, ends the process.

    The error is printed with its `hint`, where it has one, and with a file that its missing one may have been
    meant to be. Other errors pass: they are faults of the program. A Typer application always ends the
    process, and wrong use of its options is an error like the others. It ends without a word where nobody
    reads what it prints any more.
    """
    allow_any_text()
    known = {**_OWN, **statuses}
    try:
        if "typer" not in sys.modules:  # a server need not load it
            app()
            return
        from adaptact.usage import call  # noqa: PLC0415

        if (status := call(app)) is not None:
            sys.exit(status)
    except ClosedPipeError:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            discard_rest(stream)
        sys.exit(CLOSED_PIPE)
    except tuple(known) as error:
        from adaptact.console import print_error  # noqa: PLC0415  # rich, which a server need not load

        print_error(str(error) or type(error).__name__, _make_hint(error))
        sys.exit(exit_code(error, known))


def _make_hint(error: Exception) -> str | None:
    """The error's own hint, after the file that a missing one was probably meant to be."""
    hint: str | None = getattr(error, "hint", None)
    missing = _find_missing_file(error)
    question = None if missing is None else suggest_file(Path(missing))
    return "; ".join(dict.fromkeys(filter(None, (question, hint)))) or None


def _find_missing_file(error: Exception) -> str | None:
    cause = error if isinstance(error, FileNotFoundError) else error.__cause__
    if isinstance(cause, FileNotFoundError) and isinstance(cause.filename, str | Path):
        return str(cause.filename)
    said = _MISSING.search(str(error))  # by a check before it was opened, or by another process
    return None if said is None else said[1]


def exit_code(error: Exception, statuses: Mapping[type[Exception], int]) -> int:
    """The exit code of the nearest type among the error's own and its bases. Raises KeyError for none."""
    for kind in type(error).__mro__:
        if kind in statuses:
            return statuses[kind]
    raise KeyError(type(error).__name__)
