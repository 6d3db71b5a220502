"""Whether a worker's event loop still runs.

The worker counts in shared memory at every turn of a timer. A worker that does not count is silent, but only
for the time in which it could have counted: a machine that is busy, swaps or was suspended hangs nobody.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TICK_SECONDS = 0.5
"""How often the supervisor looks."""
LATE_SECONDS = 1.0
SILENT_SECONDS = 4.0
"""A worker that was silent for so long hangs; its event loop is never held up so long by what it does."""
# A longer time between two looks was one in which the supervisor itself did not run.
LONGEST_TICK_SECONDS = 2 * TICK_SECONDS
NANOSECONDS = 1e9
STOPPED, RUNNING, IN_DISK_WAIT = "Tt", "R", "D"


@dataclass(frozen=True, slots=True)
class ThreadTimes:
    """A thread's state as one letter of proc(5), and for how many seconds it ran and waited for a core."""

    state: str = "S"
    ran: float = 0.0
    waited: float = 0.0


class Heartbeat:
    """One worker's beats, as its supervisor sees them."""

    def __init__(
        self, count: Callable[[], int], read_times: Callable[[], ThreadTimes], is_ready: Callable[[], bool]
    ) -> None:
        """`count` reads the beats, `read_times` the main thread. Before it is ready it need not beat."""
        self._count = count
        self._read_times = read_times
        self._is_ready = is_ready
        self._last = 0
        self._before: ThreadTimes | None = None
        self._silent_seconds = 0.0

    @property
    def is_late(self) -> bool:
        """Whether it is silent for a moment already: others should get what can wait for none."""
        return self._silent_seconds >= LATE_SECONDS

    def check(self, elapsed_seconds: float) -> str | None:
        """Why it hangs, None if it does not; to be called once a tick, with the time since the last call."""
        beats = self._count()
        if beats != self._last:
            self._last, self._before, self._silent_seconds = beats, None, 0.0
            return None
        now = self._read_times()
        before, self._before = self._before or now, now
        if self._is_ready() or now.state in STOPPED:
            self._silent_seconds += _awake_seconds(before, now, min(elapsed_seconds, LONGEST_TICK_SECONDS))
        if self._silent_seconds < SILENT_SECONDS:
            return None
        what = "was stopped" if now.state in STOPPED else "does not come round to its event loop"
        return f"hangs: it {what} for {self._silent_seconds:.0f} s"


def read_times(pid: int) -> ThreadTimes:
    """The main thread of a process, as far as the system tells."""
    folder, state, ran, waited = Path("/proc") / str(pid), "S", 0.0, 0.0
    with suppress(OSError):
        # The name before the state is in parentheses and may hold any character.
        state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
        ran, waited = (int(field) / NANOSECONDS for field in (folder / "schedstat").read_text().split()[:2])
    return ThreadTimes(state, ran, waited)


def _awake_seconds(before: ThreadTimes, now: ThreadTimes, elapsed_seconds: float) -> float:
    """The part of the time in which the thread could have come round to its event loop."""
    if now.state in IN_DISK_WAIT:
        return 0.0
    if now.state in RUNNING:  # it may be waiting for a core, and how long is only known afterwards
        return min(elapsed_seconds, max(0.0, now.ran - before.ran))
    return max(0.0, elapsed_seconds - max(0.0, now.waited - before.waited))
