"""How long a connection may wait without progress."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

# Slower than any network worth serving, and fast enough that nobody keeps a connection for hours.
BYTES_PER_SECOND = 500

Waiting: TypeAlias = Literal["head", "body", "rest", "reader", "next"]
"""What a connection waits for: a request's head or body, the rest of what is answered already, the client to
read its answer, or the next request."""


class StallTimer:
    """Measures how long one connection has waited for the same thing."""

    def __init__(self, stall_seconds: float, next_seconds: float) -> None:
        """Waiting for the next request has a limit of its own."""
        self._stall_seconds = stall_seconds
        self._next_seconds = next_seconds
        self._wait: _Wait | None = None

    def check(
        self, waiting: Waiting | None, request: object, moved: Callable[[], int], now: float
    ) -> Waiting | None:
        """What it has waited for too long; None if it does not wait, or there is progress.

        `moved` counts the bytes of the body that came, or of the answer that went.
        """
        wait = self._wait
        if waiting is None:
            self._wait = None
            return None
        if wait is None or wait.waiting != waiting or wait.request is not request:
            self._wait = _Wait(waiting, request, now, moved())
            return None
        if now - wait.since < (self._next_seconds if waiting == "next" else self._stall_seconds):
            return None
        if waiting in ("body", "reader"):
            came, wait.moved = moved() - wait.moved, moved()
            if came >= BYTES_PER_SECOND * (now - wait.since):
                wait.since = now
                return None
        return waiting


@dataclass(slots=True)
class _Wait:
    waiting: Waiting
    request: object
    since: float
    moved: int
