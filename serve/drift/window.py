"""What was counted within the last so many seconds: slices of time, the oldest of which is forgotten."""

import threading
from collections.abc import Callable
from time import monotonic

import numpy as np
from numpy.typing import NDArray

SLICES = 12

Tallies = NDArray[np.int64]
"""A row for each series."""


class SlidingWindow:
    """Tallies of the last SLICES slices of time, of which the newest is not full. For several threads."""

    def __init__(
        self, series: int, width: int, seconds: float, clock: Callable[[], float] = monotonic
    ) -> None:
        """Nothing is counted yet."""
        self._shape = series, width
        self._slice_seconds = seconds / SLICES
        self._clock = clock
        self._lock = threading.Lock()
        self._slices: dict[int, Tallies] = {}
        self._began = clock()

    def add(self, tallies: Tallies) -> None:
        """Count these now."""
        with self._lock:
            now = self._forget()
            if now not in self._slices:
                self._slices[now] = np.zeros(self._shape, np.int64)
            self._slices[now] += tallies

    def read(self) -> Tallies:
        """The sum of what is not forgotten."""
        with self._lock:
            self._forget()
            return sum(self._slices.values(), np.zeros(self._shape, np.int64))

    def count_seconds(self) -> float:
        """How long what is not forgotten took."""
        return min(self._clock() - self._began, SLICES * self._slice_seconds)

    def _forget(self) -> int:
        """The number of the slice that is now, after the older ones than the window are dropped."""
        now = int(self._clock() // self._slice_seconds)
        for old in [number for number in self._slices if number <= now - SLICES]:
            del self._slices[old]
        return now
