"""How every command ends: its exit codes, and the one place where an error becomes one of them."""

import sys
from collections.abc import Callable, Mapping

from adaptact.errors import AdaptactError, UsageError

FINE = 0
FAILED = 1
WRONG_USE = 2
PARITY_FAILED = 3

_OWN: Mapping[type[Exception], int] = {AdaptactError: FAILED, UsageError: WRONG_USE}


def run(app: Callable[[], object], statuses: Mapping[type[Exception], int]) -> None:
    """The command has run; an error of a type in `statuses`, or of this package, ends the process.

    The error is printed with its `hint`, where it has one. Other errors pass: they are faults of the program.
    """
    known = {**_OWN, **statuses}
    try:
        app()
    except tuple(known) as error:
        from adaptact.console import print_error  # noqa: PLC0415  # rich, which a server need not load

        print_error(str(error) or type(error).__name__, getattr(error, "hint", None))
        sys.exit(exit_code(error, known))


def exit_code(error: Exception, statuses: Mapping[type[Exception], int]) -> int:
    """The exit code of the nearest type among the error's own and its bases. Raises KeyError for none."""
    for kind in type(error).__mro__:
        if kind in statuses:
            return statuses[kind]
    raise KeyError(type(error).__name__)
