"""The process that owns the port: it starts the workers, and replaces those that end."""

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
    from serve.settings import Settings  # its values alone are needed here, not pydantic

log = logging.getLogger("adaptact")

# A worker that ends as soon as it starts would otherwise be started again without end.
PAUSES_SECONDS = (0.0, 0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
STEADY_SECONDS = 60.0
KILL_SECONDS = 5.0


class Supervisor:
    """Several workers behind one listening socket."""

    def __init__(self, listener: socket.socket, settings: "Settings") -> None:
        """No worker is started yet."""
        self._settings = settings
        self._workers: list[Worker] = []
        self._changes = ChangeBroadcaster(self._workers)
        self._distributor = ConnectionDistributor(listener, self._workers, settings.connections)
        self._listening: set[asyncio.Task[None]] = set()
        self._limits = create_limits()
        self._stopping = asyncio.Event()

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Serve until SIGTERM or SIGINT; `on_ready` is called once every worker is ready.

        Raises `StartupError` where a worker cannot start, which has printed the reason on standard error.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        working = asyncio.create_task(self._work(on_ready))
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                await working  # it ends only by an error, which this raises
            await self._stop()
        finally:
            self._stopping.set()
            working.cancel()
            stopping.cancel()
            for worker in self._workers:
                with contextlib.suppress(ProcessLookupError):
                    worker.process.kill()
            os.close(self._limits)

    def _on_signal(self) -> None:
        """End once all requests are answered; at the second signal, at once."""
        if self._stopping.is_set():
            for worker in self._workers:
                worker.stop()
        self._stopping.set()

    async def _work(self, on_ready: Callable[[], None]) -> None:
        first = await asyncio.gather(*(self._start_ready() for _ in range(self._settings.workers)))
        if self._stopping.is_set():
            return
        on_ready()
        async with asyncio.TaskGroup() as tasks:
            for worker in first:
                tasks.create_task(self._keep_running(worker))
            tasks.create_task(self._distributor.run())

    async def _start_ready(self) -> Worker:
        """A worker that is ready; raises `StartupError` where it ends before."""
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
        listening.add_done_callback(lambda _: worker.exclude())
        self._listening.add(listening)
        listening.add_done_callback(self._listening.discard)
        return worker

    async def _keep_running(self, worker: Worker) -> None:
        """Replace the worker whenever it ends, until the server stops."""
        failures = 0
        while True:
            status = await worker.process.wait()
            self._workers.remove(worker)
            worker.connection_socket.close()
            if self._stopping.is_set():
                return
            failures = 0 if monotonic() - worker.started > STEADY_SECONDS else failures + 1
            log.error("worker %d ended with status %s; another takes its place", worker.process.pid, status)
            replacement = await self._replace(failures)
            if replacement is None:
                return
            worker = replacement

    async def _replace(self, failures: int) -> Worker | None:
        """A new worker, after a pause that grows with the failures; None where the server stops meanwhile."""
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
            worker.may_have_clients = True
            return None
        if verb == READY:
            return worker.ready.set()
        if verb == BROADCAST:
            return await self._changes.broadcast(arguments[0], arguments[1:])
        raise UnsupportedError(f"`{verb}` is nothing that a supervisor can do")

    async def _stop(self) -> None:
        """Stop every worker, and wait for them until the grace is over.

        They get connections until they end, so that a client is told why it gets no answer.
        """
        ends = []
        for worker in self._workers:
            worker.stop()
            ends.append(asyncio.create_task(worker.process.wait()))
        if ends:
            await asyncio.wait(ends, timeout=self._settings.stop_grace_seconds + KILL_SECONDS)
