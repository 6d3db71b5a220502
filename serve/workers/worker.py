"""A worker process, which answers the connections that the supervisor sends it.

`python -m serve.workers.worker CONNECTIONS CHANNEL CLOSED LIMITS`: the descriptors of two sockets to the
supervisor and of the memory that they share; the supervisor writes the settings to standard input.
"""

import asyncio
import logging
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from adaptact import exit_codes
from adaptact.exit_codes import FAILED
from serve.engine.errors import StartupError
from serve.observe.log_settings import configure_log
from serve.rest.http import BoundedHttpProtocol, ConnectionLimits
from serve.rest.server import Server, make_config, make_limits, stop_cleanly_on_signals
from serve.settings import Settings
from serve.shared.channel import Channel, ChannelClosedError
from serve.shared.memory import SharedCount, open_limits
from serve.shared.worker_group import CATCH_UP, READY, SupervisedWorkerGroup
from serve.workers.connections import SURPLUS
from serve.workers.server_process import ServerProcess, open_server_process

log = logging.getLogger("adaptact")

LOG_FORMAT = "%(asctime)s %(levelname)s [%(process)d] %(message)s"


@dataclass(frozen=True, slots=True)
class SupervisorLink:
    """The sockets for connections and for the channel, the count of closed connections, and the group."""

    connection_socket: socket.socket
    channel_socket: socket.socket
    closed_connections: SharedCount
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


class ConnectionReceiver:
    """The socket from which connections come; `on_connections` is called when there are some."""

    def __init__(self, connection_socket: socket.socket, on_connections: Callable[[], None]) -> None:
        """It is not read yet."""
        self.is_open = False
        self._socket = connection_socket
        self._on_connections = on_connections

    async def start(self) -> None:
        """Receive connections from now on."""
        self.is_open = True
        self._socket.setblocking(False)
        asyncio.get_running_loop().add_reader(self._socket, self._on_connections)

    async def stop(self, grace_seconds: float) -> None:
        """From now on connections are closed at once, since no other worker gets them."""
        self.is_open = False


class WorkerServer(Server):
    """A web server without a port of its own."""

    def __init__(self, process: ServerProcess, settings: Settings, supervisor: SupervisorLink) -> None:
        """The supervisor sends it connections and the changes that other workers ask for."""
        config = make_config(process.app, settings, process.tls)
        self._receiver = ConnectionReceiver(supervisor.connection_socket, self._receive)
        # Stopped first: connections that stay open would delay the end until the grace is over.
        beside = [self._receiver, *process.side_servers]
        super().__init__(config, process.engine.drain, settings.stop_grace_seconds, beside)
        self._limits = make_limits(settings)
        self._supervisor = supervisor
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
            await channel.ask(READY)
        except ChannelClosedError:
            self.should_exit = True

    def _receive(self) -> None:
        try:
            while True:
                content, descriptors, _, _ = socket.recv_fds(
                    self._supervisor.connection_socket, SURPLUS.size, 1, socket.MSG_CMSG_CLOEXEC
                )
                if not content:
                    break
                if descriptors:
                    (surplus,) = SURPLUS.unpack(content)
                    self._start_task(self._answer(socket.socket(fileno=descriptors[0]), surplus))
                else:
                    log.error("a connection is cut off: this process has no descriptor left for it")
                    self._supervisor.closed_connections.increase()
        except BlockingIOError:
            return
        except ConnectionError:
            pass
        asyncio.get_running_loop().remove_reader(self._supervisor.connection_socket)

    async def _answer(self, connection: socket.socket, surplus: int) -> None:
        connection.setblocking(False)
        try:
            _, protocol = await asyncio.get_running_loop().connect_accepted_socket(
                partial(self._make_protocol, surplus), connection, ssl=self.config.ssl
            )
        except OSError:  # it has closed, or is not TLS: `connection_made` was not called
            connection.close()
            self._supervisor.closed_connections.increase()
        else:
            if not self._receiver.is_open:
                protocol.shutdown()

    def _make_protocol(self, surplus: int) -> CountedConnection:
        return CountedConnection(
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
            limits=self._limits,
            surplus=surplus,
            on_close=self._supervisor.closed_connections.increase,
        )

    def _start_task(self, work: Awaitable[object]) -> asyncio.Task[object]:
        task = asyncio.ensure_future(work)
        assert isinstance(task, asyncio.Task)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _on_supervisor_gone(self, listening: asyncio.Task[object]) -> None:
        self.should_exit = True


def main() -> None:
    """Answer until the supervisor stops this process or ends; exits with 1 where it cannot start."""
    stop_cleanly_on_signals()
    exit_codes.run(_serve, {StartupError: FAILED})


def _serve() -> None:
    settings = Settings.model_validate_json(sys.stdin.read())
    configure_log(settings.log_level, LOG_FORMAT)
    connections, channel, closed, limits = map(int, sys.argv[1:5])
    workers = SupervisedWorkerGroup()
    supervisor = SupervisorLink(
        socket.socket(fileno=connections), socket.socket(fileno=channel), SharedCount(closed), workers
    )
    with open_server_process(settings, workers, open_limits(limits)) as process:
        WorkerServer(process, settings, supervisor).run()


if __name__ == "__main__":
    main()
