"""Starts the workers, watches them, and replaces those that end, hang or are stuck."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Coroutine, Sequence
from time import monotonic

from serve.engine.errors import StartupError, UnsupportedError
from serve.shared.channel import Json
from serve.shared.worker_group import BROADCAST, CATCH_UP, READY, REFUSED, STUCK
from serve.sources.options import parse_options
from serve.workers.changes import ChangeBroadcaster
from serve.workers.connections import ConnectionDistributor
from serve.workers.copying import keep_current
from serve.workers.heartbeat import TICK_SECONDS, Heartbeat
from serve.workers.options import STOP_SIGNALS, SupervisorOptions
from serve.workers.spawn import StartedWorker, WorkerProcess, spawn_worker
from serve.workers.supervised import Worker, connect_worker
from serve.workers.systemd import notify, notify_watchdog

log = logging.getLogger("adaptact")

# A worker that ends as soon as it starts would otherwise be started again without end.
PAUSES_SECONDS = (0.0, 0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
STEADY_SECONDS = 60.0
SHORTEST_GRACE_SECONDS = 1.0
"""A worker needs this even without a grace, to answer that it ends."""


class Supervisor:
    """The workers behind the listening sockets."""

    def __init__(self, listeners: Sequence[socket.socket], options: SupervisorOptions) -> None:
        """The listeners for HTTP and gRPC; the options name the first workers, which have been started."""
        self._options = options
        self._workers: list[Worker] = []
        self._changes = ChangeBroadcaster(self._workers)
        self._distributor = ConnectionDistributor(listeners, self._workers, options.connections)
        self._tasks: set[asyncio.Task[None]] = set()
        self._hung_files: dict[tuple[str, str], Json] = {}
        self._stopping = asyncio.Event()

    async def run(self, on_ready: Callable[[str], None]) -> None:
        """Serve until SIGTERM or SIGINT.

        `on_ready` is called once every worker is ready, with what they serve. Raises `StartupError` where a
        worker cannot start.
        """
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self._on_signal)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        self._start_task(notify_watchdog())
        if self._options.source:
            self._start_task(keep_current(parse_options(self._options.source)))
        working = asyncio.create_task(self._work(on_ready))
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                await working  # it ends only by an error, which this raises
            await self._stop()
        finally:
            self._stopping.set()
            for task in (working, stopping, *self._tasks):
                task.cancel()
            for worker in self._workers:
                worker.kill()

    def _on_signal(self) -> None:
        """End once all requests are answered; at the second signal, at once."""
        if self._stopping.is_set():
            for worker in self._workers:
                worker.stop()
        notify("STOPPING=1")
        self._stopping.set()

    async def _work(self, on_ready: Callable[[str], None]) -> None:
        workers = [await self._admit(started) for started in self._options.workers]
        await asyncio.gather(*map(self._until_ready, workers))
        if self._stopping.is_set():
            return
        on_ready(workers[0].models)
        self._distributor.start()
        async with asyncio.TaskGroup() as tasks:
            for worker in workers:
                tasks.create_task(self._keep_running(worker))

    async def _admit(self, started: StartedWorker) -> Worker:
        worker, heartbeat = await connect_worker(WorkerProcess(started), self._answer)
        self._workers.append(worker)
        self._start_task(self._follow(worker, heartbeat))
        return worker

    async def _until_ready(self, worker: Worker) -> None:
        """Return once it is ready; where it fails before, kill it and raise `StartupError`."""
        waiting = [asyncio.create_task(event.wait()) for event in (worker.failed, worker.ready)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        if not worker.ready.is_set() and not self._stopping.is_set():
            worker.kill()
            raise StartupError(worker.refusal or f"a worker {worker.failure} before it was ready")

    async def _follow(self, worker: Worker, heartbeat: Heartbeat) -> None:
        """Answer what the worker asks, give it up where it hangs, and forget it once it has ended."""
        listening = asyncio.create_task(worker.channel.listen())
        watching = asyncio.create_task(self._watch(worker, heartbeat))
        await worker.ended.wait()
        watching.cancel()
        await listening  # for what it has said before
        worker.exclude(f"ended with status {worker.status}")
        self._distributor.take_back(worker)
        self._workers.remove(worker)
        worker.process.close()

    async def _watch(self, worker: Worker, heartbeat: Heartbeat) -> None:
        """Let others have what a late worker was sent, and exclude one that hangs."""
        before = monotonic()
        while not worker.is_excluded:
            await asyncio.sleep(TICK_SECONDS)
            now = monotonic()
            if failure := heartbeat.check(now - before):
                worker.exclude(failure)
            before, worker.is_late = now, heartbeat.is_late
            if worker.is_late:
                self._distributor.take_back(worker)

    async def _keep_running(self, worker: Worker) -> None:
        """Replace the worker whenever it fails, until the server stops."""
        failures = 0
        while True:
            await worker.failed.wait()
            if self._stopping.is_set():
                return
            log.error("worker %d %s; another takes its place", worker.process.pid, worker.failure)
            if worker.is_excluded:
                self._start_task(worker.retire(self._options.stop_grace_seconds))
            failures = 0 if monotonic() - worker.started > STEADY_SECONDS else failures + 1
            replacement = await self._replace(failures)
            if replacement is None:
                return
            if not worker.is_excluded:
                worker.exclude("was replaced")
                self._start_task(worker.retire(self._options.stop_grace_seconds))
            worker = replacement

    async def _replace(self, failures: int) -> Worker | None:
        """A new worker that is ready, after pauses that grow with the failures; None if the server stops."""
        while True:
            await asyncio.sleep(PAUSES_SECONDS[min(failures, len(PAUSES_SECONDS) - 1)])
            if self._stopping.is_set():
                return None
            try:
                hung_files = list(self._hung_files.values())
                started = spawn_worker(self._options.settings, self._options.limits, hung_files)
                worker = await self._admit(started)
                await self._until_ready(worker)
            except (OSError, StartupError) as error:
                failures += 1
                log.error("a worker cannot be started: %s", error)
            else:
                return worker

    async def _answer(self, worker: Worker, verb: str, arguments: list[Json]) -> Json:
        if verb == CATCH_UP:
            await self._changes.catch_up(worker)
            worker.may_have_clients = True
        elif verb == READY:
            (worker.models,) = arguments
            if not worker.is_excluded:
                worker.ready.set()
        elif verb == STUCK:
            reason, hung_files = arguments
            self._hung_files.update({(file["name"], file["version"]): file for file in hung_files})
            worker.fail(f"is stuck: {reason}")
        elif verb == REFUSED:
            (worker.refusal,) = arguments
        elif verb == BROADCAST:
            return await self._changes.broadcast(arguments[0], arguments[1:])
        else:
            raise UnsupportedError(f"`{verb}` is nothing that a supervisor can do")
        return None

    async def _stop(self) -> None:
        """Stop every worker, and wait for them until the grace is over.

        While clients may not know of it, they get connections.
        """
        began = monotonic()
        grace = max(SHORTEST_GRACE_SECONDS, self._options.stop_grace_seconds)
        for worker in self._workers:
            worker.stop()
        linger = min(grace, self._options.stop_linger_seconds)
        if self._distributor.has_connections() or self._distributor.latest > began - linger:
            await self._until_ended(linger)
        self._distributor.close()
        for worker in self._workers:
            worker.process.end_connections()
        await self._until_ended(began + grace - monotonic())

    async def _until_ended(self, seconds: float) -> None:
        """Return once all workers have ended, or after so many seconds."""
        ends = [asyncio.create_task(worker.ended.wait()) for worker in self._workers]
        if ends:
            await asyncio.wait(ends, timeout=seconds)

    def _start_task(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
