"""How a command ends: its exit status, and an error in one line."""

import sys

import typer
from rich.console import Console

from convert.errors import ConversionError, ParityError, UsageError

FINE, FAILED, WRONG_USE, PARITY_FAILED = 0, 1, 2, 3


def run(command: typer.Typer) -> None:
    """Ends the process with the command's exit status."""
    try:
        command()
    except ConversionError as error:
        print_error(str(error), error.hint)
        sys.exit(status_of(error))


def status_of(error: ConversionError) -> int:
    """The exit status that tells this failure."""
    if isinstance(error, ParityError):
        return PARITY_FAILED
    return WRONG_USE if isinstance(error, UsageError) else FAILED


def print_error(message: str, hint: str | None) -> None:
    """One line on standard error, and the hint below it."""
    errors = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    errors.print(f"error: {message}", style="red")
    if hint:
        errors.print(f"hint: {hint}")
