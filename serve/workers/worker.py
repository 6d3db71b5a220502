"""A worker process, which answers the connections that the supervisor sends it.

`python -m serve.workers.worker CONNECTIONS CHANNEL COUNTS LIMITS SUPERVISOR`: the descriptors of two sockets
to the supervisor and of the memory that they share, and the supervisor's process id. The supervisor writes
the settings to standard input.
"""

import asyncio
import ctypes
import json
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, NoReturn

from adaptact.exit_codes import FAILED, FINE
from serve.engine.engine import Engine
from serve.engine.errors import StartupError
from serve.engine.hung_files import HungFile
from serve.observe.log_lines import configure_log
from serve.rest.http import BoundedHttpProtocol, ConnectionLimits
from serve.rest.server import Server, make_config, make_limits, stop_cleanly_on_signals
from serve.settings import Settings
from serve.shared.channel import Channel, ChannelClosedError, send_last
from serve.shared.memory import WorkerCounts, open_cores, open_limits
from serve.shared.worker_group import CATCH_UP, READY, REFUSED, STUCK, SupervisedWorkerGroup
from serve.workers.connections import GRPC, receive_connection
from serve.workers.options import STOP_SIGNALS
from serve.workers.server_process import ServerProcess, open_server_process

log = logging.getLogger("adaptact")

LOG_FORMAT = "%(asctime)s %(levelname)s [%(process)d] %(message)s"
PR_SET_PDEATHSIG = 1  # of prctl(2), which Python does not have
# Of the grace, so much is left for answering that it is over; the supervisor kills the process at its end.
END_SECONDS, END_SHARE = 1.0, 0.25


@dataclass(frozen=True, slots=True)
class SupervisorLink:
    """The sockets for connections and for the channel, the counts, and the group."""

    connection_socket: socket.socket
    channel_socket: socket.socket
    counts: WorkerCounts
    workers: SupervisedWorkerGroup


class CountedConnection(BoundedHttpProtocol):
    """A connection that the supervisor counts until it closes."""

    def __init__(
        self, *, limits: ConnectionLimits, surplus: int, on_close: Callable[[], None], **options: Any
    ) -> None:
        """It is `surplus` beyond the limit; `on_close` is called when it closes."""
        super().__init__(limits=limits, **options)
        self._surplus = surplus
        self._on_close = on_close

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As any, but for the limit, since the supervisor has counted the connections of all workers."""
        own = len(self.connections) + 1
        self._limits = replace(self._limits, connections=own - self._surplus)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it as closed."""
        super().connection_lost(exc)
        self._on_close()


class WorkerServer(Server):
    """A web server without a port of its own."""

    def __init__(self, process: ServerProcess, settings: Settings, supervisor: SupervisorLink) -> None:
        """The supervisor sends it connections and the changes that other workers ask for."""
        limits = make_limits(settings)
        grace = settings.stop_grace_seconds
        super().__init__(
            make_config(process.app, settings, process.tls, limits),
            process.engine,
            limits,
            grace - min(END_SECONDS, END_SHARE * grace),
            process.list_side_servers(),
        )
        self._grpc = process.grpc
        self._supervisor = supervisor
        self._on_close = supervisor.counts.count_closed
        self._gets_connections = False
        self._has_told = False
        self._tasks: set[asyncio.Task[object]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Repeat the others' changes, then open every server and tell the supervisor."""
        supervisor = self._supervisor
        reader, writer = await asyncio.open_connection(sock=supervisor.channel_socket)
        channel = supervisor.workers.channel = Channel(reader, writer, supervisor.workers.answer)
        self._start_task(channel.listen()).add_done_callback(self._on_supervisor_gone)
        try:
            await channel.ask(CATCH_UP)
            await super().startup([])
            self._supervisor.connection_socket.setblocking(False)
            asyncio.get_running_loop().add_reader(self._supervisor.connection_socket, self._receive)
            self._gets_connections = True
            await channel.ask(READY, _describe_models(self._engine))
        except ChannelClosedError:
            self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """As of any, and the supervisor sees that the event loop runs and whether the engine is stuck."""
        self._supervisor.counts.beat()
        if self._engine.stuck and not self._has_told:
            self._has_told = True
            self._start_task(self._tell_stuck(self._engine.stuck))
        return await super().on_tick(counter)

    async def _tell_stuck(self, reason: str) -> None:
        hung_files = [asdict(file) for file in self._engine.hung_files()]
        with suppress(ChannelClosedError):
            await self._supervisor.workers.channel.ask(STUCK, reason, hung_files)

    def _has_work(self) -> bool:
        return self._gets_connections or super()._has_work()

    def _receive(self) -> None:
        try:
            while arrival := receive_connection(self._supervisor.connection_socket):
                connection, surplus, port = arrival
                if connection is not None:
                    self._start_task(self._answer(connection, surplus, port))
                else:
                    log.error("a connection is cut off: this process has no descriptor left for it")
                    self._supervisor.counts.count_closed()
        except BlockingIOError:
            return
        except ConnectionError:
            pass
        self._gets_connections = False
        asyncio.get_running_loop().remove_reader(self._supervisor.connection_socket)

    async def _answer(self, connection: socket.socket, surplus: int, port: int) -> None:
        connection.setblocking(False)
        if port == GRPC and surplus:
            connection.close()
            return self._on_close()
        make, tls = self._choose_protocol(surplus, port)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(make, connection, ssl=tls)
        except OSError:  # it has closed, or is not TLS: `connection_made` was not called
            connection.close()
            self._on_close()
        return None

    def _choose_protocol(
        self, surplus: int, port: int
    ) -> tuple[Callable[[], asyncio.Protocol], ssl.SSLContext | None]:
        """What makes the connection's protocol, and its TLS."""
        if port == GRPC and self._grpc is not None:
            return partial(self._grpc.make_connection, self._on_close), self._grpc.tls_context
        return partial(self._make_protocol, surplus), self.config.ssl

    def _make_protocol(self, surplus: int) -> asyncio.Protocol:
        return CountedConnection(
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
            limits=self._limits,
            surplus=surplus,
            on_close=self._on_close,
        )

    def _start_task(self, work: Awaitable[object]) -> asyncio.Task[object]:
        task = asyncio.ensure_future(work)
        assert isinstance(task, asyncio.Task)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _on_supervisor_gone(self, listening: asyncio.Task[object]) -> None:
        self.should_exit = True


def serve_connections(
    settings: Settings,
    hung_files: Sequence[Mapping[str, str]],
    descriptors: tuple[int, int, int, int],
    supervisor_id: int,
    is_replacement: bool = False,
) -> NoReturn:
    """Answer until the supervisor stops this process or ends; exits with 1 where it cannot start.

    `descriptors` are of the sockets for connections and of the channel, of the counts and of the limits; a
    replacement takes the place of a worker that has ended.
    """
    status: object = FAILED
    channel = socket.socket(fileno=os.dup(descriptors[1]))
    try:
        _end_with(supervisor_id)
        stop_cleanly_on_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        _serve(settings, hung_files, descriptors, is_replacement)
        status = FINE
    except StartupError as error:
        send_last(channel, REFUSED, str(error))
    except SystemExit as end:
        status = end.code or 0
    except BaseException:  # the outermost handler of a process that must not return
        log.exception("the worker failed")
    logging.shutdown()
    with suppress(OSError, ValueError):  # a closed output
        sys.stdout.flush()
    # At once: a thread that cannot be ended must not delay it.
    os._exit(status if isinstance(status, int) else FAILED)


def _serve(
    settings: Settings,
    hung_files: Sequence[Mapping[str, str]],
    descriptors: tuple[int, int, int, int],
    is_replacement: bool,
) -> None:
    connections, channel, counts, limits = descriptors
    configure_log(settings.log_level, LOG_FORMAT)
    workers = SupervisedWorkerGroup()
    supervisor = SupervisorLink(
        socket.socket(fileno=connections), socket.socket(fileno=channel), WorkerCounts(counts), workers
    )
    hung = tuple(HungFile(**file) for file in hung_files)
    shared = open_limits(limits), open_cores(limits, settings.shared_runs)
    with open_server_process(settings, workers, *shared, hung, is_replacement) as process:
        WorkerServer(process, settings, supervisor).run()


def _end_with(supervisor_id: int) -> None:
    """The system kills this process when the supervisor ends, even if it hangs by then."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor_id:
        sys.exit(FAILED)


def _describe_models(engine: Engine) -> str:
    return ", ".join(f"{name} ({', '.join(engine.versions(name))})" for name in engine.names())


def main() -> NoReturn:
    """Serve with what the supervisor gives this process."""
    text, hung_files = json.load(sys.stdin)
    connections, channel, counts, limits, supervisor_id = map(int, sys.argv[1:])
    settings = Settings.model_validate_json(text)
    descriptors = connections, channel, counts, limits
    serve_connections(settings, hung_files, descriptors, supervisor_id, is_replacement=True)


if __name__ == "__main__":
    main()
