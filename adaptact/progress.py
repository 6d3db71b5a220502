"""How far a command has come, for people: lines and bars on a console of messages, all escaped.

Where there is no terminal, such as in a log, a bar is a plain line every EVERY_SECONDS.
"""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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

EVERY_SECONDS = 5.0


class OnCount(Protocol):
    """Called with what is done of a total, which is the one before where it is not given."""

    def __call__(self, done: int, total: int | None = None) -> None: ...  # noqa: D102


class PlainCounter:
    """Lines of what is done and what is left, at most one every EVERY_SECONDS."""

    def __init__(self, console: Console, name: str) -> None:
        self._console = console
        self._name = escape_line(name)
        self._began = self._printed = time.monotonic()
        self._first: int | None = None

    def show(self, done: int, total: int | None, last: str = "") -> None:
        """So much is done now, and `last` was done last."""
        if self._first is None:
            self._first = done  # what an earlier run had done says nothing of the speed
        of = "" if total is None else f" of {total:,}"
        line = f"{self._name}: {done:,}{of}{self._describe_rest(time.monotonic(), done, total)}"
        self.show_text(f"{line}; {escape_line(last)}" if last else line)

    def show_text(self, line: str) -> None:
        """The line, unless one was shown a moment ago."""
        now = time.monotonic()
        if now - self._printed >= EVERY_SECONDS:
            self._printed = now
            self._console.print(Text(line), soft_wrap=True)

    def _describe_rest(self, now: float, done: int, total: int | None) -> str:
        new = done - (self._first or 0)
        if total is None or new <= 0:
            return ""
        return f", {format_duration((now - self._began) / new * (total - done))} left"


def format_duration(seconds: float) -> str:
    """The time in the two largest of its units, as `3 min 20 s`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class StageLines:
    """One line for each stage: its name while it runs, then the seconds that it took.

    A stage in `limits` has a bar while it runs, full after so many seconds. Of known `stages` each shows its
    number, and of how many.
    """

    def __init__(
        self, console: Console, limits: Mapping[str, float] | None = None, stages: Sequence[str] = ()
    ) -> None:
        self._console = console
        self._limits = limits or {}
        self._stages = stages
        self._detail = PlainCounter(console, "")
        self._status = console.status("", spinner="line" if console.options.ascii_only else "dots")
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
            self._status.update(Text(f"{self._number()}{self._stage} ..."))
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
        if not self._console.is_terminal:
            self._detail.show_text(f"{self._stage}: {detail}")
            return
        if self._bar is None:
            self._status.update(Text(f"{self._number()}{self._stage}: {detail} ..."))
            return
        seconds = time.perf_counter() - self._started
        self._bar.update(self._bar.task_ids[0], completed=seconds, description=detail)

    def _number(self) -> str:
        """Which stage it is, and of how many; nothing where they are not known."""
        if self._stage not in self._stages:
            return ""
        return f"{self._stages.index(self._stage) + 1} of {len(self._stages)}: "

    def _end_stage(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        if self._stage is not None:
            seconds = time.perf_counter() - self._started
            number = self._number().removesuffix(": ")
            self._console.print(Text(f"{self._stage:<9} {seconds:6.2f} s  {number}".rstrip()))
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
            disable=_is_silent(console),
        )
        self._console = console

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
        plain, done = PlainCounter(self._console, stage), itertools.count(1)
        plain.show(0, total)

        def on_progress(last: str) -> None:
            if self._progress.disable:
                plain.show(next(done), total, last)
            self._progress.update(task, advance=1, last=escape_line(last))

        return on_progress


@contextlib.contextmanager
def count_bar(
    console: Console, description: str, total: int | None = None, *, transient: bool = False
) -> Iterator[OnCount]:
    """A bar, moved by the function that the block is given; one that is transient goes as the block ends."""
    if not console.is_terminal:
        plain, known = PlainCounter(console, description), [total]

        def on_plain_progress(done: int, total: int | None = None) -> None:
            known[0] = known[0] if total is None else total
            plain.show(done, known[0])

        yield on_plain_progress
        return
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
