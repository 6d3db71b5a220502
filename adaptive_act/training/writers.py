"""Where a monitor's readings go."""

import csv
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

HEADER = ("step", "layer", "quantity", "value")


@runtime_checkable
class Writer(Protocol):
    """Takes what was read at a step: layer -> quantity -> value."""

    def write(self, step: int, readings: Mapping[str, Mapping[str, float]]) -> None:
        """Keeps the readings of one step."""

    def close(self) -> None:
        """Leaves everything written."""


class CSVWriter:
    """Appends a line for each value to a file, `step,layer,quantity,value`, and goes on with one it finds.

    Each step is handed to the operating system whole, so a process that is killed loses none of the steps
    before; the torn line of a machine that lost power is cut off when the file is opened again. A run that
    was set back and resumed writes its steps again: of several lines for a step, the last ones count.

    Raises ValueError where the file is something else.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        is_new = not self.path.exists() or self.path.stat().st_size == 0
        if not is_new:
            _cut_torn_line(self.path)
        self._file = self.path.open("a", newline="", encoding="utf-8")
        self._rows = csv.writer(self._file, lineterminator="\n")
        if is_new:
            self._rows.writerow(HEADER)
            self._file.flush()

    def write(self, step: int, readings: Mapping[str, Mapping[str, float]]) -> None:
        """Appends the readings of one step."""
        for layer, quantities in readings.items():
            self._rows.writerows((step, layer, name, repr(value)) for name, value in quantities.items())
        self._file.flush()

    def close(self) -> None:
        """Closes the file, its content on the disk."""
        if not self._file.closed:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()


class TensorBoardWriter:
    """Writes each value as the scalar `layer/quantity` for TensorBoard; needs the package `tensorboard`.

    `purge_step` hides what a run that is now resumed wrote from that step on.
    """

    def __init__(self, folder: str | Path, purge_step: int | None = None) -> None:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415  # only who asks for it needs it

        self._events = SummaryWriter(str(folder), purge_step=purge_step)

    def write(self, step: int, readings: Mapping[str, Mapping[str, float]]) -> None:
        """Adds the readings of one step."""
        for layer, quantities in readings.items():
            for name, value in quantities.items():
                self._events.add_scalar(f"{layer}/{name}", value, step)

    def close(self) -> None:
        """Closes the event file, with everything in it."""
        self._events.close()


def _cut_torn_line(path: Path) -> None:
    """Shortens a file that a CSVWriter wrote to its last whole line; refuses any other."""
    header = ",".join(HEADER)
    with path.open("r+b") as file:
        content = file.read()
        first, newline, _ = content.partition(b"\n")
        if not newline or first != header.encode():
            raise ValueError(
                f"`{path}` starts with `{first[:80].decode(errors='replace')}`, expected `{header}`"
            )
        file.truncate(content.rfind(b"\n") + 1)
