"""Tables that fit: no word is broken on a terminal, no row in a pipe.

Where the columns of a terminal do not suffice, each row is a record of lines, a name and a value each.
"""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Column, Table
from rich.text import Text

from adaptact.text import escape_line

MOST_LINES = 3  # of one row; with more of them, records are easier to read
GAP = 2  # columns between two cells
DRAWN_GAP = 3  # the same in a drawn table: padding, the box, padding
INDENT = 2
Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FittedTable:
    """Rows under their header, shown as the console allows. Each cell is one line, escaped."""

    header: Row
    rows: tuple[Row, ...]
    title: str = ""

    @classmethod
    def build(cls, header: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> "FittedTable":
        """The table of cells as they come."""
        cells = tuple(tuple(map(escape_line, row)) for row in rows)
        return cls(tuple(map(escape_line, header)), cells, escape_line(title))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """A table, records, or for a pipe plain lines."""
        if not console.is_terminal:
            yield Text(
                "\n".join([*([self.title] if self.title else []), *self._list_lines(), ""]), no_wrap=True
            )
        elif (widths := self._fit(options.max_width)) is not None:
            yield self._draw(widths)
            yield ""
        else:
            yield Text("\n".join(self._list_records(options.max_width)), no_wrap=True)

    def _draw(self, widths: Sequence[int]) -> Table:
        columns = [Column(Text(name), width=width) for name, width in zip(self.header, widths, strict=True)]
        title = Text(self.title, style="table.title") if self.title else None
        table = Table(
            *columns, box=SIMPLE_HEAD, pad_edge=False, show_edge=False, title=title, title_justify="left"
        )
        for row in self.rows:
            table.add_row(*map(Text, row))
        return table

    def _fit(self, width: int) -> list[int] | None:
        """The widths of the columns in which no word is broken and no row is too high; None for none."""
        columns = list(zip(self.header, *self.rows, strict=True))
        widest = [max(map(cell_len, column)) for column in columns]
        longest = [max(map(_longest_word, column)) for column in columns]
        free = width - DRAWN_GAP * (len(columns) - 1)
        if sum(widest) <= free:
            return widest
        if len(columns) == 2:  # names and values read best a line each
            return None
        spare, wanted = free - sum(longest), sum(widest) - sum(longest)
        if spare < 0:
            return None
        widths = [
            least + (most - least) * spare // wanted for least, most in zip(longest, widest, strict=True)
        ]
        rows = (self.header, *self.rows)
        highest = max(len(_wrap(cell, size)) for row in rows for cell, size in zip(row, widths, strict=True))
        return widths if highest <= MOST_LINES else None

    def _list_lines(self) -> list[str]:
        """Each row in a line, its cells under one another."""
        rows = (self.header, *self.rows)
        widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
        return [
            (" " * GAP)
            .join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
            .rstrip()
            for row in rows
        ]

    def _list_records(self, width: int) -> Iterator[str]:
        """A line for each cell, with its column's name; the rows of two columns are such lines already."""
        yield from ([self.title] if self.title else [])
        if len(self.header) == 2:
            yield from _list_pairs(self.rows, width, 0)
        for number, row in enumerate(self.rows if len(self.header) != 2 else ()):
            yield from [""] if number else []
            yield from _wrap(f"{self.header[0]} {row[0]}".strip(), width)
            pairs = [(name, cell) for name, cell in zip(self.header[1:], row[1:], strict=True) if cell]
            yield from _list_pairs(pairs, width, INDENT)
        yield ""


def _list_pairs(pairs: Sequence[Sequence[str]], width: int, indent: int) -> Iterator[str]:
    """Lines of a name and a value behind it, or below it where a word would not fit behind it."""
    column = min(max((cell_len(name) for name, _ in pairs), default=0), width // 2) + GAP
    for name, value in pairs:
        room = width - indent - column
        if cell_len(name) <= column - GAP and _longest_word(value) <= room:
            first, *rest = _wrap(value, room) or [""]
            yield f"{' ' * indent}{name}{' ' * (column - cell_len(name))}{first}".rstrip()
            yield from (f"{' ' * (indent + column)}{line}" for line in rest)
        else:
            yield from (f"{' ' * indent}{line}" for line in _wrap(name, max(1, width - indent)))
            below = indent + INDENT
            yield from (f"{' ' * below}{line}" for line in _wrap(value, max(1, width - below)))


def _longest_word(text: str) -> int:
    return max(map(cell_len, text.split()), default=0)


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(1, width), break_on_hyphens=False)
