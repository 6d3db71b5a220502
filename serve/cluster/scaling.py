"""How many replicas there should be, from the requests in flight: up at once, down slowly.

What a replica has in flight waits in it or runs: by Little's law the number is the rate of requests times the
time of each, whatever the model. Divided by what one replica should have in flight, it is the number of
replicas.
"""

from collections import deque
from dataclasses import dataclass
from math import ceil
from typing import TypeVar

Value = TypeVar("Value")

WINDOW_SECONDS = 5.0
"""The requests in flight are averaged over so long: a burst that one replica clears is no reason."""
TOLERANCE = 1.1
"""So many times what the replicas should have is still enough."""
STEP_SECONDS = 30.0
"""Between two steps down."""


@dataclass(frozen=True, slots=True)
class ScalingOptions:
    """Between how many replicas, and when there is one more or one less."""

    least: int
    most: int
    in_flight: float
    """What one replica should have waiting and running."""
    down_seconds: float
    """So long fewer must have been enough."""


class Scaler:
    """Decides from numbers it is given, in the order of their times; it reads no clock."""

    def __init__(self, options: ScalingOptions, wanted: int, now: float) -> None:
        """Start with so many wanted at that time, in seconds; bounded as the options say."""
        self._options = options
        self._samples: deque[tuple[float, float]] = deque()
        self._needs: deque[tuple[float, int]] = deque()
        self._stepped = self._began = now
        self.wanted = self._bound(wanted)

    def change(self, options: ScalingOptions) -> None:
        """From now on by these options."""
        self._options = options
        self.wanted = self._bound(self.wanted)

    def decide(self, in_flight: float, now: float) -> int:
        """The number of replicas, given what all of them have in flight at this time."""
        _append(self._samples, now, in_flight, WINDOW_SECONDS)
        mean = sum(count for _, count in self._samples) / len(self._samples)
        need = self._bound(ceil(min(mean / self._options.in_flight, self._options.most)))
        _append(self._needs, now, need, self._options.down_seconds)
        if mean > TOLERANCE * self._options.in_flight * self.wanted:
            if need > self.wanted:
                self.wanted, self._stepped = need, now
        elif self._may_step_down(now):
            self.wanted, self._stepped = self.wanted - 1, now
        return self.wanted

    def _may_step_down(self, now: float) -> bool:
        waits = self._options.down_seconds, min(STEP_SECONDS, self._options.down_seconds)
        is_time = now - self._began >= waits[0] and now - self._stepped >= waits[1]
        return is_time and max(need for _, need in self._needs) < self.wanted

    def _bound(self, count: int) -> int:
        return min(max(count, self._options.least), self._options.most)


def _append(series: deque[tuple[float, Value]], now: float, value: Value, seconds: float) -> None:
    """The series of the last so many seconds, with this value at its end."""
    series.append((now, value))
    while series[0][0] < now - seconds:
        series.popleft()
