"""A worker as its supervisor sees it."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from functools import partial
from time import monotonic
from typing import TypeAlias

from serve.shared.channel import Channel, Json
from serve.workers.heartbeat import Heartbeat, read_times
from serve.workers.spawn import WorkerProcess

SupervisorResponder: TypeAlias = Callable[["Worker", str, list[Json]], Awaitable[Json]]
"""The supervisor's answer to a worker, by verb and arguments."""
RESUMED_SECONDS = 2.0
"""So long a worker that hung may take to run again, before it is killed."""


class Worker:
    """A worker process, the channel to it, and its state."""

    def __init__(self, process: WorkerProcess, channel: Channel) -> None:
        """It starts; nothing is known of it yet."""
        self.process = process
        self.channel = channel
        self.started = monotonic()
        self.sent_connections = 0
        self.last_turn = 0
        """The number of the last connection that it was sent, among those of all workers."""
        self.is_in_group = False
        """Whether it has repeated the others' changes, and takes part in all later ones."""
        self.is_excluded = False
        self.is_late = False
        """Whether it does not answer at the moment."""
        self.may_have_clients = False
        """Whether a client may wait for its answer."""
        self._is_stopping = False
        self.models = ""
        """What it serves, once it is ready."""
        self.ready = asyncio.Event()
        """Set while it gets connections."""
        self.failed = asyncio.Event()
        self.failure = ""
        """Why another must take its place, once it has failed."""
        self.refusal = ""
        """Why it cannot start, if it has said so."""
        self.ended = asyncio.Event()
        self.status = 0
        """That with which it has ended; negative is the signal."""

    @property
    def connections(self) -> int:
        """How many it has, including those that it has not read from the socket yet."""
        return self.sent_connections - self.process.counts.closed_connections

    def fail(self, failure: str) -> None:
        """Another must take its place, for this reason; it still gets connections until then."""
        if not self.failed.is_set():
            self.failure = failure
            self.failed.set()

    def exclude(self, failure: str) -> None:
        """From now on it takes part in no change, is not waited for and gets no connection."""
        self.is_in_group, self.is_excluded = False, True
        self.ready.clear()
        self.process.end_connections()
        self.channel.give_up(f"worker {self.process.pid} {failure}")
        self.fail(failure)

    def stop(self) -> None:
        """It ends once its requests are answered; at once where it cannot have any, or was told before."""
        if not self.may_have_clients:
            return self.kill()  # while it loads a model it may not handle a signal for long
        # Of two equal signals that a busy process has not handled yet, the system keeps one.
        self.process.send_signal(signal.SIGINT if self._is_stopping else signal.SIGTERM)
        self._is_stopping = True
        return self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """It ends at once."""
        self.process.send_signal(signal.SIGKILL)

    async def retire(self, grace_seconds: float) -> None:
        """Stop it, and kill it if it does not run again soon, or when the grace is over."""
        end, beats = monotonic() + grace_seconds, self.process.counts.beats
        self.stop()
        if not await self._has_ended(min(RESUMED_SECONDS, grace_seconds)):
            if self.process.counts.beats != beats:
                await self._has_ended(end - monotonic())
            self.kill()
        await self.ended.wait()

    async def _has_ended(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self.ended.wait()
        except TimeoutError:
            return False
        return True


async def connect_worker(process: WorkerProcess, answer: SupervisorResponder) -> tuple[Worker, Heartbeat]:
    """The worker of this process and its heartbeat; nothing reads its channel yet."""
    reader, writer = await asyncio.open_connection(sock=process.channel_socket)

    async def answer_worker(verb: str, arguments: list[Json]) -> Json:
        return await answer(worker, verb, arguments)

    worker = Worker(process, Channel(reader, writer, answer_worker))
    loop = asyncio.get_running_loop()

    def on_end() -> None:
        loop.remove_reader(process.descriptor)
        worker.status = process.wait()
        worker.ended.set()

    loop.add_reader(process.descriptor, on_end)
    times = partial(read_times, process.pid)
    return worker, Heartbeat(lambda: process.counts.beats, times, worker.ready.is_set)
