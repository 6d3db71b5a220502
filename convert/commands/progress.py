"""What a command is at, for people: a line a stage, and a bar for the one that was given its time."""

import time

from rich import progress
from rich.console import Console


class Progress:
    """One line a stage on the console: its name while it runs, and the seconds it took.

    The stage `tune` has a bar that is full after `tune_seconds`.
    """

    def __init__(self, console: Console, tune_seconds: float = 0.0) -> None:
        self._console = console
        self._status = console.status("")
        self._tune_seconds = tune_seconds
        self._bar: progress.Progress | None = None
        self._stage: str | None = None
        self._since = 0.0

    def started(self, stage: str) -> None:
        """The stage before has ended and this one begins."""
        self._end()
        self._stage, self._since = stage, time.perf_counter()
        if stage == "tune":
            self._status.stop()
            columns = (
                progress.TextColumn("tune"),
                progress.BarColumn(),
                progress.TextColumn("{task.description}"),
            )
            self._bar = progress.Progress(*columns, console=self._console, transient=True)
            self._bar.add_task("", total=self._tune_seconds)
            self._bar.start()
            return
        self._status.update(f"{stage} ...")
        self._status.start()

    def told(self, what: str) -> None:
        """What the stage is at: beside its bar, or else its name."""
        if self._bar is not None:
            passed = time.perf_counter() - self._since
            self._bar.update(self._bar.task_ids[0], completed=passed, description=what)
        else:
            self._status.update(f"{self._stage}: {what} ...")

    def finished(self) -> None:
        """No stage runs any more."""
        self._end()
        self._status.stop()

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        if self._stage is not None:
            self._console.print(
                f"{self._stage:<9} {time.perf_counter() - self._since:6.2f} s", highlight=False
            )
        self._stage = None
