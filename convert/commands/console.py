"""Results on standard output: tables of text for people, JSON for programs."""

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from convert.errors import DestinationError, printable

if TYPE_CHECKING:
    from convert.manifest.fields import RoundingRecord

PIPED_WIDTH = 200  # characters, where there is no terminal to ask


@contextlib.contextmanager
def console() -> Iterator[Console]:
    """Where results go: standard output, wide enough for a table where that is a file or a pipe.

    Raises DestinationError where it cannot be written.
    """
    found = Console(highlight=False, markup=False)
    if not found.is_terminal:
        found.width = PIPED_WIDTH
    with _written():
        yield found


def print_json(result: Mapping[str, Any]) -> None:
    """One line on standard output. Raises DestinationError where it cannot be written."""
    with _written():
        sys.stdout.write(json.dumps(result, allow_nan=False) + "\n")


@contextlib.contextmanager
def _written() -> Iterator[None]:
    """What is printed in the block is written when it ends."""
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        # What is left of it would be tried again, and fail again, as the process ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise DestinationError(f"cannot print the result: {error.strerror or error}") from error


def print_rounding(shown: Console, precision: str, record: "RoundingRecord", verdict: str = "passed") -> None:
    """What fewer bits cost, on the console."""
    from convert.evidence import tables  # noqa: PLC0415  # it loads torch

    shown.print(f"gate {verdict}: {tables.rounding_words(precision, record)}")
    shown.print(table(tables.LOSSES, tables.loss_rows(record)))
    if record.kept:
        shown.print(table(tables.KEPT, tables.kept_rows(record)))


def table(header: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> Table:
    """The rows under their header; nothing in them is read as markup, or moves the cursor."""
    made = Table(
        *(Column(Text(name), overflow="fold") for name in header),
        box=SIMPLE_HEAD,
        pad_edge=False,
        title=title or None,
        title_justify="left",
    )
    for row in rows:
        made.add_row(*(Text(printable(cell)) for cell in row))
    return made
