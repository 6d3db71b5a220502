"""Mirrored requests: the candidate runs the same inputs while no client waits for it."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

log = logging.getLogger("adaptact")

Mirrored = TypeVar("Mirrored")

MAX_WAITING = 64
MAX_WAITING_BYTES = 64 * 2**20
RUN_SECONDS = 30.0


@dataclass(slots=True)
class MirrorCounts:
    """What became of the mirrored requests; `offered` is the sum of the others and what is under way."""

    offered: int = 0
    done: int = 0
    failed: int = 0
    """Runs that raised an error, or took too long."""
    dropped: int = 0
    """Requests that did not run, since too many waited or the mirror was closed."""
    cancelled: int = 0
    """Runs that the end of the mirror cut short."""


class Mirror(Generic[Mirrored]):
    """Runs mirrored requests one after another, or a few at once; whatever is too much is dropped.

    Belongs to one event loop. `run` gets a request and records what it shows; it may raise.
    """

    def __init__(
        self,
        run: Callable[[Mirrored], Awaitable[object]],
        *,
        max_running: int = 1,
        max_waiting: int = MAX_WAITING,
        max_waiting_bytes: int = MAX_WAITING_BYTES,
        run_seconds: float = RUN_SECONDS,
    ) -> None:
        self._run = run
        self._max_running = max_running
        self._max_waiting = max_waiting
        self._max_waiting_bytes = max_waiting_bytes
        self._run_seconds = run_seconds
        self._waiting: deque[tuple[Mirrored, int]] = deque()
        self._waiting_bytes = 0
        self._running: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self.counts = MirrorCounts()

    @property
    def under_way(self) -> int:
        """How many requests wait or run."""
        return len(self._waiting) + len(self._running)

    def offer(self, request: Mirrored, size_bytes: int) -> bool:
        """Take the request if there is room for it; False if it was dropped.

        Returns at once and runs nothing: the run begins when the event loop is next free, so whoever offers
        after having written the reply has delayed it by nothing. `size_bytes` is what the request keeps in
        memory.
        """
        self.counts.offered += 1
        if not self._has_room(size_bytes):
            self.counts.dropped += 1
            return False
        self._waiting.append((request, size_bytes))
        self._waiting_bytes += size_bytes
        self._start_waiting()
        return True

    async def close(self, seconds: float = 5.0) -> None:
        """Drop what waits, and wait for what runs, at most so many seconds before it is cancelled.

        May be called again. A run that does not heed its cancellation is left to itself.
        """
        self._is_closed = True
        self.counts.dropped += len(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        await self._wait(seconds)
        for task in self._running:
            task.cancel()
        await self._wait(1.0)

    def _has_room(self, size_bytes: int) -> bool:
        if self._is_closed:
            return False
        if len(self._running) < self._max_running:
            return True
        has_bytes = self._waiting_bytes + size_bytes <= self._max_waiting_bytes
        return has_bytes and len(self._waiting) < self._max_waiting

    def _start_waiting(self) -> None:
        while self._waiting and len(self._running) < self._max_running:
            request, size_bytes = self._waiting.popleft()
            self._waiting_bytes -= size_bytes
            task = asyncio.get_running_loop().create_task(self._run_one(request))
            self._running.add(task)
            task.add_done_callback(self._finish)

    async def _run_one(self, request: Mirrored) -> None:
        async with asyncio.timeout(self._run_seconds):
            await self._run(request)

    def _finish(self, task: asyncio.Task[None]) -> None:
        """Count the end of a run, and begin the next."""
        self._running.discard(task)
        if task.cancelled():
            self.counts.cancelled += 1
        elif error := task.exception():
            self.counts.failed += 1
            log.debug("a mirrored request failed", exc_info=error)
        else:
            self.counts.done += 1
        self._start_waiting()

    async def _wait(self, seconds: float) -> None:
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)
