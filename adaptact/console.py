"""The one console of all commands: results on standard output, messages on standard error."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from adaptact.errors import ClosedPipeError
from adaptact.output import is_silent, require_printed
from adaptact.tables import FittedTable
from adaptact.text import escape, escape_line


class EscapingConsole(Console):
    """A console on which no printed text moves the cursor, changes colours or is read as markup."""

    def __init__(self, *, stderr: bool = False, quiet: bool = False) -> None:
        super().__init__(stderr=stderr, quiet=quiet, markup=False, emoji=False, highlight=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of the renderable, each escaped; rich's own cursor movements are kept."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=escape(segment.text, longest=None))

    def on_broken_pipe(self) -> None:
        """Raises ClosedPipeError; rich would end the process in the middle of what it does."""
        raise ClosedPipeError("nobody reads what is printed any more")


@contextlib.contextmanager
def results(*, quiet: bool = False) -> Iterator[Console]:
    """Standard output; no line is broken where it is no terminal, and a quiet one prints nothing.

    Raises OutputError where a write fails, and ClosedPipeError where nobody reads it any more.
    """
    if quiet or is_silent():
        yield EscapingConsole(quiet=True)
        return
    console = EscapingConsole()
    console.soft_wrap = not console.is_terminal
    with require_printed():
        yield console


def messages(*, quiet: bool = False) -> Console:
    """Standard error, for progress; a quiet one prints nothing."""
    return EscapingConsole(stderr=True, quiet=quiet or is_silent())


def table(header: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> FittedTable:
    """The rows under their header; each cell is escaped, and one line."""
    return FittedTable.build(header, rows, title)


def print_line(console: Console, line: str) -> None:
    """The line is on the console, escaped; on a terminal a long one is continued between two words."""
    console.print(Text(escape_line(line, longest=None)))


def print_error(message: str, hint: str | None = None) -> None:
    """The error is on standard error, in red on a terminal, and the hint in a line of its own below."""
    console = EscapingConsole(stderr=True)
    console.print(Text(f"error: {escape(message)}", style="red"), soft_wrap=True)
    if hint:
        console.print(Text(f"hint: {escape(hint)}"), soft_wrap=True)


def print_written(path: Path) -> None:
    """Standard error says that the file was written."""
    messages().print(Text(f"wrote {escape_line(str(path))}"), soft_wrap=True)
