"""What was counted within the last so many seconds: slices of time, the oldest of which is forgotten."""

import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from time import monotonic, time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SLICES = 12

Tallies = NDArray[np.int64]
"""A row for each series."""


class TimeSlice(NamedTuple):
    """What was counted within one slice of time."""

    age: float
    """Seconds since it began."""
    tallies: Tallies


class Past(NamedTuple):
    """A window as it was at one moment, for a later process."""

    slices: Sequence[TimeSlice]
    seconds: float
    """How long they took."""
    at: float
    """The moment, in seconds since 1970,"""
    ticks: float
    """and by the clock that nobody sets, which begins anew with the machine."""
    boot: str
    """Which start of the machine that clock counts from; empty where it is not known."""

    def count_elapsed(self) -> float:
        """Seconds since the moment, as far as can be told: never less than 0."""
        has_same_clock = self.boot and self.boot == read_boot()
        return max(monotonic() - self.ticks if has_same_clock else time() - self.at, 0.0)


class SlidingWindow:
    """Tallies of the last SLICES slices of time, of which the newest is not full. For several threads."""

    def __init__(
        self, series: int, width: int, seconds: float, clock: Callable[[], float] = monotonic
    ) -> None:
        """Nothing is counted yet."""
        self.shape = series, width
        self.changes = 0
        """How often something was added."""
        self._slice_seconds = seconds / SLICES
        self._clock = clock
        self._lock = threading.Lock()
        self._slices: dict[int, Tallies] = {}
        self._began = clock()

    def add(self, tallies: Tallies) -> None:
        """Count these now."""
        with self._lock:
            self._add(self._forget(), tallies)

    def read(self) -> Tallies:
        """The sum of what is not forgotten."""
        with self._lock:
            self._forget()
            return sum(self._slices.values(), np.zeros(self.shape, np.int64))

    def count_seconds(self) -> float:
        """How long what is not forgotten took."""
        return min(self._clock() - self._began, SLICES * self._slice_seconds)

    def export(self) -> Past:
        """What is not forgotten."""
        with self._lock:
            self._forget()
            now = self._clock()
            slices = [
                TimeSlice(now - number * self._slice_seconds, tallies.copy())
                for number, tallies in self._slices.items()
            ]
        return Past(slices, self.count_seconds(), time(), monotonic(), read_boot())

    def absorb(self, past: Past) -> None:
        """Count what an earlier process has counted, each at its time."""
        elapsed = past.count_elapsed()
        with self._lock:
            now = self._clock()
            for age, tallies in past.slices:
                self._add(int((now - elapsed - age) // self._slice_seconds), tallies)
            self._began = min(self._began, now - elapsed - past.seconds)
            self._forget()

    def _add(self, number: int, tallies: Tallies) -> None:
        if number not in self._slices:
            self._slices[number] = np.zeros(self.shape, np.int64)
        self._slices[number] += tallies
        self.changes += 1

    def _forget(self) -> int:
        """The number of the slice that is now, after the older ones than the window are dropped."""
        now = int(self._clock() // self._slice_seconds)
        for old in [number for number in self._slices if number <= now - SLICES]:
            del self._slices[old]
        return now


@cache
def read_boot() -> str:
    """What tells this start of the machine from any other one; empty where that is not known."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
