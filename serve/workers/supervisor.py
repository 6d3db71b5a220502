"""The process that holds the port: it deals connections out to the workers, and replaces those that die.

Workers take turns, so that all have the same to do: where they take connections from a common queue, the one
that is quickest to look has most of them.
"""

import asyncio
import contextlib
import itertools
import logging
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic

from serve.engine.errors import EngineError, StartupError, UnsupportedError
from serve.workers.channel import Channel, ChannelClosedError, Json
from serve.workers.colleagues import EVERYBODY

log = logging.getLogger("adaptact")

READY = "ready"
# A worker that ends as soon as it is started would otherwise be started without end.
PAUSES_SECONDS = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
STEADY_SECONDS = 60.0
KILL_SECONDS = 5.0
# What changes a worker's state: a new one is told the last of each kind, for each thing that it is about.
CHANGES = {
    "load": ("model", 1),
    "unload": ("model", 1),
    "set_alias": ("alias", 2),
    "remove_alias": ("alias", 2),
    "log": ("log", 0),
}


@dataclass(slots=True, eq=False)
class Worker:
    """One process: the channel to it, and the socket by which it gets connections."""

    process: asyncio.subprocess.Process
    channel: Channel
    dealing: socket.socket
    started: float
    ready: asyncio.Event = field(default_factory=asyncio.Event)


class Supervisor:
    """So many workers behind one listening socket."""

    def __init__(self, listener: socket.socket, count: int, settings: str, grace_seconds: float) -> None:
        """`settings` is what each worker reads from its standard input when it starts."""
        self._listener = listener
        self._count = count
        self._settings = settings
        self._grace_seconds = grace_seconds
        self._workers: list[Worker] = []
        self._listening: set[asyncio.Task[None]] = set()
        self._turns = itertools.count()
        self._changes: dict[tuple[Json, ...], tuple[str, list[Json]]] = {}
        self._changing = asyncio.Lock()
        self._stopping = asyncio.Event()

    async def run(self, started: Callable[[], None]) -> None:
        """Serve until SIGTERM or SIGINT; `started` is called once every worker is ready.

        Raises `StartupError` where a worker cannot start; it has said on standard error why.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        keepers: list[asyncio.Task[None]] = []
        try:
            first = await asyncio.gather(*(self._begin() for _ in range(self._count)))
            if not self._stopping.is_set():
                started()
            keepers = [asyncio.create_task(self._keep(worker)) for worker in first]
            dealing = asyncio.create_task(self._deal())
            await self._stopping.wait()
            await self._stop()
            dealing.cancel()
        finally:
            self._stopping.set()
            for keeper in keepers:
                keeper.cancel()
            for worker in self._workers:
                with contextlib.suppress(ProcessLookupError):
                    worker.process.kill()

    async def _begin(self) -> Worker:
        """A worker that is ready; raises `StartupError` where it ends before it is."""
        worker = await self._start()
        ended = asyncio.create_task(worker.process.wait())
        ready = asyncio.create_task(worker.ready.wait())
        await asyncio.wait((ended, ready), return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if ended.done() and not self._stopping.is_set():
            raise StartupError(f"a worker ended with status {worker.process.returncode} before it was ready")
        ended.cancel()
        return worker

    async def _start(self) -> Worker:
        dealing, its_dealing = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        talking, its_talking = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with its_dealing, its_talking:
            descriptors = its_dealing.fileno(), its_talking.fileno()
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "serve.workers.worker", *map(str, descriptors)),
                stdin=asyncio.subprocess.PIPE,
                pass_fds=descriptors,
                start_new_session=True,  # a terminal's Ctrl+C is for the supervisor, which asks them to end
            )
        assert process.stdin is not None
        process.stdin.write(self._settings.encode())
        process.stdin.close()
        dealing.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=talking)

        async def answer(verb: str, arguments: list[Json]) -> Json:
            return await self._answer(worker, verb, arguments)

        worker = Worker(process, Channel(reader, writer, answer), dealing, monotonic())
        self._workers.append(worker)
        listening = asyncio.create_task(worker.channel.listen())
        listening.add_done_callback(lambda _: worker.ready.clear())
        self._listening.add(listening)
        listening.add_done_callback(self._listening.discard)
        return worker

    async def _keep(self, worker: Worker) -> None:
        """Put another in the worker's place whenever it ends."""
        failures = 0
        while True:
            status = await worker.process.wait()
            self._workers.remove(worker)
            worker.dealing.close()
            if self._stopping.is_set():
                return
            failures = 0 if monotonic() - worker.started > STEADY_SECONDS else failures + 1
            log.error("worker %d ended with status %s; another takes its place", worker.process.pid, status)
            await asyncio.sleep(PAUSES_SECONDS[min(failures - 1, len(PAUSES_SECONDS) - 1)] if failures else 0)
            if self._stopping.is_set():
                return
            worker = await self._start()

    async def _answer(self, worker: Worker, verb: str, arguments: list[Json]) -> Json:
        if verb == READY:
            await self._catch_up(worker)
            return None
        if verb == EVERYBODY:
            return await self._ask_everybody(arguments[0], arguments[1:])
        raise UnsupportedError(f"`{verb}` is nothing that a supervisor can do")

    async def _catch_up(self, worker: Worker) -> None:
        """Let the new worker do what the others were told; only then does it get connections."""
        async with self._changing:
            for verb, arguments in list(self._changes.values()):
                try:
                    await worker.channel.ask(verb, *arguments)
                except EngineError as error:
                    log.error("a new worker cannot do `%s` again: %s", verb, error)
            worker.ready.set()

    async def _ask_everybody(self, verb: str, arguments: list[Json]) -> list[Json]:
        if verb not in CHANGES:
            return await self._ask_all(verb, arguments)
        async with self._changing:
            answers = await self._ask_all(verb, arguments)
            kind, about = CHANGES[verb]
            subject = (kind, *arguments[:about])
            # To the end: what it needs, such as a version that was loaded for an alias, stands before it.
            self._changes.pop(subject, None)
            self._changes[subject] = verb, arguments
            return answers

    async def _ask_all(self, verb: str, arguments: list[Json]) -> list[Json]:
        asked = [worker.channel.ask(verb, *arguments) for worker in self._workers if worker.ready.is_set()]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, ChannelClosedError):
                raise answer
        return [answer for answer in answers if not isinstance(answer, BaseException)]

    async def _deal(self) -> None:
        """Give each connection to the next worker."""
        loop = asyncio.get_running_loop()
        self._listener.setblocking(False)
        while True:
            try:
                connection, _ = await loop.sock_accept(self._listener)
            except OSError as error:
                log.error("a connection cannot be taken: %s", error.strerror)
                await asyncio.sleep(0.1)  # no descriptors are left: some will be closed
                continue
            with connection:
                while not self._give(connection.fileno()):
                    await asyncio.sleep(0.01)  # nobody is ready, or nobody keeps up

    def _give(self, descriptor: int) -> bool:
        ready = [worker for worker in self._workers if worker.ready.is_set()]
        for _ in ready:
            worker = ready[next(self._turns) % len(ready)]
            with contextlib.suppress(OSError):  # its queue is full, or it is about to be replaced
                socket.send_fds(worker.dealing, [b"c"], [descriptor])
                return True
        return False

    async def _stop(self) -> None:
        """Ask every worker to end, and end those that take longer than the grace."""
        workers: Sequence[Worker] = list(self._workers)
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                worker.process.terminate()
        ends = [asyncio.create_task(worker.process.wait()) for worker in workers]
        if ends:
            await asyncio.wait(ends, timeout=self._grace_seconds + KILL_SECONDS)
