"""When a connection stalls: a head that does not end, a body that does not go on, an answer nobody reads.

Nothing is timed for each request. Connections are looked at now and then, and one that is found where it was
before, for longer than it may, has stalled.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

# Slower than any line that is worth serving, and fast enough that nobody keeps a connection for hours.
BYTES_PER_SECOND = 500

Waiting: TypeAlias = Literal["head", "body", "rest", "reader", "next"]
"""For what a connection waits: for a request's head or body, for the rest of a body that is answered already,
for the client to read its answer, or for the next request."""


@dataclass(slots=True)
class _Watch:
    waiting: Waiting
    request: object
    since: float
    moved: int


class StallWatch:
    """What one connection waits for, and since when."""

    def __init__(self, stall_seconds: float, next_seconds: float) -> None:
        """Nothing has been looked at; the next request may be waited for longer than anything else."""
        self._stall_seconds = stall_seconds
        self._next_seconds = next_seconds
        self._watch: _Watch | None = None

    def stalled(
        self, waiting: Waiting | None, request: object, moved: Callable[[], int], now: float
    ) -> Waiting | None:
        """What it has waited for too long; None if it waits for nothing, for something new, or it goes on.

        `moved` counts bytes of the body that came, or of the answer that went.
        """
        watch = self._watch
        if waiting is None:
            self._watch = None
            return None
        if watch is None or watch.waiting != waiting or watch.request is not request:
            self._watch = _Watch(waiting, request, now, moved())
            return None
        if now - watch.since < (self._next_seconds if waiting == "next" else self._stall_seconds):
            return None
        if waiting in ("body", "reader"):
            came, watch.moved = moved() - watch.moved, moved()
            if came >= BYTES_PER_SECOND * (now - watch.since):
                watch.since = now
                return None
        return waiting
