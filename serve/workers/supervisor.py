"""The process that holds the port: it starts the workers, and replaces those that end."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from serve.engine.errors import StartupError, UnsupportedError
from serve.shared.channel import Json
from serve.shared.memory import create_limits
from serve.shared.worker_group import BROADCAST, CATCH_UP, READY
from serve.workers.changes import ChangeBroadcaster
from serve.workers.connections import ConnectionDistributor
from serve.workers.spawn import Worker, spawn_worker

if TYPE_CHECKING:
    from serve.settings import Settings  # only its values are needed, not what makes them

log = logging.getLogger("adaptact")

# A worker that ends as soon as it is started would otherwise be started without end.
PAUSES_SECONDS = (0.0, 0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
STEADY_SECONDS = 60.0
KILL_SECONDS = 5.0


class Supervisor:
    """So many workers behind one listening socket."""

    def __init__(self, listener: socket.socket, settings: "Settings") -> None:
        """Nothing is started yet."""
        self._settings = settings
        self._workers: list[Worker] = []
        self._changes = ChangeBroadcaster(self._workers)
        self._dealer = ConnectionDistributor(listener, self._workers, settings.connections)
        self._listening: set[asyncio.Task[None]] = set()
        self._limits = create_limits()
        self._stopping = asyncio.Event()

    async def run(self, started: Callable[[], None]) -> None:
        """Serve until SIGTERM or SIGINT; `started` is called once every worker is ready.

        Raises `StartupError` where a worker cannot start; it has said on standard error why.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        working = asyncio.create_task(self._work(started))
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                await working  # it has failed: else it does not end
            await self._stop()
        finally:
            self._stopping.set()
            working.cancel()
            stopping.cancel()
            for worker in self._workers:
                with contextlib.suppress(ProcessLookupError):
                    worker.process.kill()
            os.close(self._limits)

    def _end(self) -> None:
        """End once all is answered; told a second time, at once."""
        if self._stopping.is_set():
            for worker in self._workers:
                worker.end()
        self._stopping.set()

    async def _work(self, started: Callable[[], None]) -> None:
        first = await asyncio.gather(*(self._begin() for _ in range(self._settings.workers)))
        if self._stopping.is_set():
            return
        started()
        async with asyncio.TaskGroup() as tasks:
            for worker in first:
                tasks.create_task(self._keep(worker))
            tasks.create_task(self._dealer.run())

    async def _begin(self) -> Worker:
        """A worker that is ready; raises `StartupError` where it ends before it is."""
        try:
            worker = await self._start()
        except OSError as error:
            raise StartupError(f"a worker cannot be started: {error.strerror}") from error
        ended = asyncio.create_task(worker.process.wait())
        ready = asyncio.create_task(worker.ready.wait())
        await asyncio.wait((ended, ready), return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if ended.done() and not self._stopping.is_set():
            raise StartupError(f"a worker ended with status {worker.process.returncode} before it was ready")
        ended.cancel()
        return worker

    async def _start(self) -> Worker:
        worker = await spawn_worker(self._settings.model_dump_json(), self._limits, self._answer)
        self._workers.append(worker)
        listening = asyncio.create_task(worker.channel.listen())
        listening.add_done_callback(lambda _: worker.leave())
        self._listening.add(listening)
        listening.add_done_callback(self._listening.discard)
        return worker

    async def _keep(self, worker: Worker) -> None:
        """Put another in the worker's place whenever it ends, until all are to end."""
        failures = 0
        while True:
            status = await worker.process.wait()
            self._workers.remove(worker)
            worker.dealing.close()
            if self._stopping.is_set():
                return
            failures = 0 if monotonic() - worker.started > STEADY_SECONDS else failures + 1
            log.error("worker %d ended with status %s; another takes its place", worker.process.pid, status)
            another = await self._another(failures)
            if another is None:
                return
            worker = another

    async def _another(self, failures: int) -> Worker | None:
        """A worker that starts, the later the more have failed; None where all are to end meanwhile."""
        while True:
            await asyncio.sleep(PAUSES_SECONDS[min(failures, len(PAUSES_SECONDS) - 1)])
            if self._stopping.is_set():
                return None
            try:
                return await self._start()
            except OSError as error:
                failures += 1
                log.error("a worker cannot be started: %s", error.strerror)

    async def _answer(self, worker: Worker, verb: str, arguments: list[Json]) -> Json:
        if verb == CATCH_UP:
            await self._changes.catch_up(worker)
            worker.opened = True
            return None
        if verb == READY:
            return worker.ready.set()
        if verb == BROADCAST:
            return await self._changes.broadcast(arguments[0], arguments[1:])
        raise UnsupportedError(f"`{verb}` is nothing that a supervisor can do")

    async def _stop(self) -> None:
        """Ask every worker to end, and wait for those that take no longer than the grace.

        They are dealt connections until they end: whoever asks meanwhile is told why it is not answered.
        """
        ends = []
        for worker in self._workers:
            worker.end()
            ends.append(asyncio.create_task(worker.process.wait()))
        if ends:
            await asyncio.wait(ends, timeout=self._settings.stop_grace_seconds + KILL_SECONDS)
