"""The one console of all commands: results on standard output, messages on standard error."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

from adaptact.output import require_printed
from adaptact.text import escape, escape_line

PIPED_WIDTH = 200  # characters, where there is no terminal to ask


class EscapingConsole(Console):
    """A console on which no printed text moves the cursor, changes colours or is read as markup."""

    def __init__(self, *, stderr: bool = False, quiet: bool = False) -> None:
        super().__init__(stderr=stderr, quiet=quiet, markup=False, emoji=False, highlight=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of the renderable, each escaped; rich's own cursor movements are kept."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=escape(segment.text, longest=None))

    def on_broken_pipe(self) -> None:
        """The error that is handled goes on; rich would end the process without a word."""
        raise  # noqa: PLE0704  # rich calls this where it has caught BrokenPipeError


@contextlib.contextmanager
def results() -> Iterator[Console]:
    """Standard output, PIPED_WIDTH wide where it is no terminal. Raises OutputError where a write fails."""
    console = EscapingConsole()
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    with require_printed():
        yield console


def messages(*, quiet: bool = False) -> Console:
    """Standard error, for progress and errors; a quiet one prints nothing."""
    return EscapingConsole(stderr=True, quiet=quiet)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> Table:
    """The rows under their header; each cell is escaped, and one line before it is folded."""
    result = Table(
        *(Column(_cell(name), overflow="fold") for name in header),
        box=SIMPLE_HEAD,
        pad_edge=False,
        title=Text(escape_line(title), style="table.title") if title else None,
        title_justify="left",
    )
    for row in rows:
        result.add_row(*map(_cell, row))
    return result


def _cell(text: str) -> Text:
    return Text(escape_line(text))


def print_error(message: str, hint: str | None = None) -> None:
    """The error is on standard error, in red on a terminal, and the hint in a line of its own below."""
    console = messages()
    console.print(Text(f"error: {escape(message)}", style="red"), soft_wrap=True)
    if hint:
        console.print(Text(f"hint: {escape(hint)}"), soft_wrap=True)


def print_written(path: Path) -> None:
    """Standard error says that the file was written."""
    messages().print(Text(f"wrote {escape_line(str(path))}"), soft_wrap=True)
