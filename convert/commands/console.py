"""Tables of text on the terminal."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

PIPED_WIDTH = 200  # characters, where there is no terminal to ask


def console() -> Console:
    """Where results go: standard output, wide enough for a table where that is a file or a pipe."""
    found = Console(highlight=False, markup=False)
    if not found.is_terminal:
        found.width = PIPED_WIDTH
    return found


def table(header: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> Table:
    """The rows under their header; nothing in them is read as markup."""
    made = Table(
        *(Column(Text(name), overflow="fold") for name in header),
        box=SIMPLE_HEAD,
        pad_edge=False,
        title=title or None,
        title_justify="left",
    )
    for row in rows:
        made.add_row(*map(Text, row))
    return made
