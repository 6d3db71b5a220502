"""How much of something unbounded is kept: some at once, and then a little more with time."""

from time import monotonic


class Allowance:
    """Admits `at_once` of what comes, and one more after each `seconds`."""

    def __init__(self, at_once: int, seconds: float) -> None:
        """Full at first."""
        self._at_once = at_once
        self._seconds = seconds
        self._left = float(at_once)
        self._last = monotonic()

    def take(self) -> bool:
        """Whether one more is admitted now."""
        now = monotonic()
        self._left = min(self._at_once, self._left + (now - self._last) / self._seconds)
        self._last = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
