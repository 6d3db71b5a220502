"""The memory of a process and of those that it has started, as the kernel counts it."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic

PROC = Path("/proc")
FIELD = b"Pss:"  # its own pages, and its part of those that it shares
KIBIBYTE = 1024
# The kernel walks every page of the process, which takes milliseconds where there are many.
SECONDS = 5.0


class ProcessMemory:
    """The memory of one process and its children; of several such the sum counts no page twice."""

    def __init__(self, process: int, proc: Path = PROC) -> None:
        """Nothing is read yet."""
        self._process = str(process)
        self._proc = proc
        self._bytes: int | None = None
        self._read_at = -SECONDS

    def read(self) -> int | None:
        """The bytes, of at most some seconds ago; None where the kernel does not say."""
        now = monotonic()
        if now - self._read_at >= SECONDS:
            self._read_at = now
            own = self._read_one(self._process)
            children = filter(None, map(self._read_one, self._find_children()))
            self._bytes = None if own is None else own + sum(children)
        return self._bytes

    def _read_one(self, process: str) -> int | None:
        with suppress(OSError, ValueError, IndexError):  # it has ended, or the kernel is another one
            for line in (self._proc / process / "smaps_rollup").read_bytes().splitlines():
                if line.startswith(FIELD):
                    return int(line.split()[1]) * KIBIBYTE
        return None

    def _find_children(self) -> Iterator[str]:
        """The processes that any of its threads has started."""
        tasks = self._proc / self._process / "task"
        with suppress(OSError):
            for task in os.listdir(tasks):
                with suppress(OSError):
                    yield from (tasks / task / "children").read_text().split()
