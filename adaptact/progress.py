"""How far a command has come, for people: lines and bars on a console of messages, all escaped."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from adaptact.text import escape_line


class OnCount(Protocol):
    """Called with what is done of a total, which is the one before where it is not given."""

    def __call__(self, done: int, total: int | None = None) -> None: ...  # noqa: D102


class StageLines:
    """One line for each stage: its name while it runs, then the seconds that it took.

    A stage in `limits` has a bar while it runs, full after so many seconds.
    """

    def __init__(self, console: Console, limits: Mapping[str, float] | None = None) -> None:
        self._console = console
        self._limits = limits or {}
        self._status = console.status("")
        self._bar: Progress | None = None
        self._stage: str | None = None
        self._started = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end_stage()
        self._status.stop()

    def on_stage(self, stage: str) -> None:
        """The stage before has ended and this one runs."""
        self._end_stage()
        self._stage, self._started = escape_line(stage), time.perf_counter()
        limit = self._limits.get(stage)
        if limit is None:
            self._status.update(Text(f"{self._stage} ..."))
            self._status.start()
            return
        self._status.stop()
        columns = (_text_column("{task.fields[stage]}"), BarColumn(), _text_column("{task.description}"))
        self._bar = Progress(
            *columns, console=self._console, transient=True, disable=_is_silent(self._console)
        )
        self._bar.add_task("", total=limit, stage=self._stage)
        self._bar.start()

    def on_progress(self, detail: str) -> None:
        """The detail stands beside the stage's bar, or else its name."""
        detail = escape_line(detail)
        if self._bar is None:
            self._status.update(Text(f"{self._stage}: {detail} ..."))
            return
        seconds = time.perf_counter() - self._started
        self._bar.update(self._bar.task_ids[0], completed=seconds, description=detail)

    def _end_stage(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        if self._stage is not None:
            self._console.print(Text(f"{self._stage:<9} {time.perf_counter() - self._started:6.2f} s"))
        self._stage = None


class StageBars:
    """A bar for each stage, with what is left of it and what was done last."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            _text_column("{task.description:21}"),
            BarColumn(20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            _text_column("left"),
            TimeRemainingColumn(),
            _text_column("{task.fields[last]}", Column(ratio=1, no_wrap=True, overflow="ellipsis")),
            expand=True,
            console=console,
            speed_estimate_period=600,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def on_stage(self, stage: str, total: int) -> Callable[[str], None]:
        """The stage has a bar, unless its total is 0.

        The result moves the bar on by one, and shows what was done last.
        """
        task = self._progress.add_task(escape_line(stage), total=total, last="", visible=total > 0)

        def on_progress(last: str) -> None:
            self._progress.update(task, advance=1, last=escape_line(last))

        return on_progress


@contextlib.contextmanager
def count_bar(
    console: Console, description: str, total: int | None = None, *, transient: bool = False
) -> Iterator[OnCount]:
    """A bar, moved by the function that the block is given; one that is transient goes as the block ends."""
    columns = (_text_column("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=_is_silent(console), transient=transient) as progress:
        task = progress.add_task(escape_line(description), total=total)

        def on_progress(done: int, total: int | None = None) -> None:
            progress.update(task, completed=done, total=total)

        yield on_progress


def _is_silent(console: Console) -> bool:
    """Whether bars are left out: without a terminal one would be a line for each of its steps."""
    return console.quiet or not console.is_terminal


def _text_column(template: str, column: Column | None = None) -> TextColumn:
    return TextColumn(template, markup=False, table_column=column)
