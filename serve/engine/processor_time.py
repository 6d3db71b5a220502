"""The processor time of a model's runs: of the threads that call them, and of its own pool of threads."""

import os
import threading
from collections.abc import Iterable, Set
from pathlib import Path
from time import perf_counter, thread_time

TASKS = Path("/proc/self/task")


class ProcessorTime:
    """Of a few runs it times the thread that calls them, since to ask for it takes a system call.

    Several threads may add runs.
    """

    def __init__(self, pool: Set[int] | None = frozenset()) -> None:
        """Measure from now on; `pool` are the threads that run for this model only, by their system ids.

        It is None where threads work for several models.
        """
        self._pool = pool
        self._pool_before = _read_seconds(pool or ())
        self._processor = self._elapsed = 0.0
        self.wanted = 0
        """How many of the next runs are to be timed."""

    def begin(self) -> tuple[float, float]:
        """Now, on this thread."""
        self.wanted -= 1
        return perf_counter(), thread_time()

    def end(self, began: tuple[float, float]) -> None:
        """The run that began then, on this thread, has ended."""
        self._processor += thread_time() - began[1]
        self._elapsed += perf_counter() - began[0]

    def estimate(self, run_seconds: float) -> float | None:
        """The processor seconds of all runs, which have taken so long; None before one was timed, or unknown.

        Of the calling threads it is the share in the runs that were timed, of the pool all that it has used.
        """
        if not self._elapsed or self._pool is None:
            return None
        calling = run_seconds * self._processor / self._elapsed
        return calling + _read_seconds(self._pool) - self._pool_before


def list_native_threads() -> set[int]:
    """The system ids of this process's threads that Python has not started."""
    known = {thread.native_id for thread in threading.enumerate()}
    return {int(name) for name in os.listdir(TASKS)} - known


def _read_seconds(threads: Iterable[int]) -> float:
    """The processor seconds that these threads have used."""
    return sum(int((TASKS / f"{each}/schedstat").read_text().split()[0]) for each in threads) / 1e9
