"""One of several processes: it answers the connections that the supervisor deals to it.

`python -m serve.workers.worker DEALING TALKING FINISHED LIMITS`: the descriptors of two sockets to the
supervisor and of what it shares with it; the supervisor writes the settings to standard input.
"""

import asyncio
import logging
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import typer

from serve.engine.errors import StartupError
from serve.rest.http import BoundedHttp, Limits
from serve.rest.server import Server, configured, limits_of, stop_cleanly_on_signals
from serve.settings import Settings
from serve.shared.channel import Channel, ChannelClosedError
from serve.shared.memory import SharedCount, open_limits
from serve.shared.worker_group import CATCH_UP, READY, SupervisedWorkerGroup
from serve.workers.connections import SURPLUS
from serve.workers.server_process import ServerProcess, open_server_process

log = logging.getLogger("adaptact")


@dataclass(frozen=True, slots=True)
class SupervisorLink:
    """What leads to the supervisor: where connections come from, where it talks, and who answers it."""

    dealing: socket.socket
    talking: socket.socket
    finished: SharedCount
    colleagues: SupervisedWorkerGroup


class CountedConnection(BoundedHttp):
    """A connection that the supervisor counts until it ends."""

    def __init__(self, *, limits: Limits, surplus: int, finished: Callable[[], None], **named: Any) -> None:
        """It is by `surplus` beyond the limit; `finished` is called when it ends."""
        super().__init__(limits=limits, **named)
        self._surplus = surplus
        self._finished = finished

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As any, but for the limit: the supervisor has counted the connections of all workers."""
        own = len(self.connections) + 1
        self._limits = replace(self._limits, connections=own - self._surplus)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Say so."""
        super().connection_lost(exc)
        self._finished()


class ConnectionReceiver:
    """The door through which the supervisor's connections come; `take` is called when there are some."""

    def __init__(self, dealing: socket.socket, take: Callable[[], None]) -> None:
        """It is closed."""
        self.open = False
        self._dealing = dealing
        self._take = take

    async def start(self) -> None:
        """Take them from now on."""
        self.open = True
        self._dealing.setblocking(False)
        asyncio.get_running_loop().add_reader(self._dealing, self._take)

    async def stop(self, grace_seconds: float) -> None:
        """From now on what comes is closed at once: nobody else takes it."""
        self.open = False


class WorkerServer(Server):
    """A web server without a port of its own."""

    def __init__(self, process: ServerProcess, settings: Settings, supervisor: SupervisorLink) -> None:
        """The supervisor gives it connections, and asks what its colleagues are asked."""
        config = configured(process.app, settings, process.tls)
        self._dealt = ConnectionReceiver(supervisor.dealing, self._take)
        # Closed first: what stayed open would hold up the end until the grace is over.
        beside = [self._dealt, *process.beside]
        super().__init__(config, process.engine.drain, settings.stop_grace_seconds, beside)
        self._limits = limits_of(settings)
        self._supervisor = supervisor
        self._tasks: set[asyncio.Task[object]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Be ready for connections, and say so; no door opens before what others were told is done."""
        supervisor = self._supervisor
        reader, writer = await asyncio.open_connection(sock=supervisor.talking)
        channel = supervisor.colleagues.channel = Channel(reader, writer, supervisor.colleagues.own)
        self._keep(channel.listen()).add_done_callback(self._supervisor_is_gone)
        try:
            await channel.ask(CATCH_UP)
            await super().startup([])
            await channel.ask(READY)
        except ChannelClosedError:
            self.should_exit = True

    def _take(self) -> None:
        try:
            while True:
                content, descriptors, _, _ = socket.recv_fds(
                    self._supervisor.dealing, SURPLUS.size, 1, socket.MSG_CMSG_CLOEXEC
                )
                if not content:
                    break
                if descriptors:
                    (surplus,) = SURPLUS.unpack(content)
                    self._keep(self._answer(socket.socket(fileno=descriptors[0]), surplus))
                else:
                    log.error("a connection is cut off: this process has no descriptor left for it")
                    self._supervisor.finished.increase()
        except BlockingIOError:
            return
        except ConnectionError:
            pass
        asyncio.get_running_loop().remove_reader(self._supervisor.dealing)

    async def _answer(self, connection: socket.socket, surplus: int) -> None:
        connection.setblocking(False)
        try:
            _, protocol = await asyncio.get_running_loop().connect_accepted_socket(
                partial(self._protocol, surplus), connection, ssl=self.config.ssl
            )
        except OSError:  # it is gone already, or is not TLS: then the protocol was told of no connection
            connection.close()
            self._supervisor.finished.increase()
        else:
            if not self._dealt.open:
                protocol.shutdown()

    def _protocol(self, surplus: int) -> CountedConnection:
        return CountedConnection(
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
            limits=self._limits,
            surplus=surplus,
            finished=self._supervisor.finished.increase,
        )

    def _keep(self, work: Awaitable[object]) -> asyncio.Task[object]:
        task = asyncio.ensure_future(work)
        assert isinstance(task, asyncio.Task)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _supervisor_is_gone(self, listening: asyncio.Task[object]) -> None:
        self.should_exit = True


def main() -> None:
    """Answer until the supervisor says to end, or is gone; raises SystemExit with 1 where it cannot start."""
    stop_cleanly_on_signals()
    settings = Settings.model_validate_json(sys.stdin.read())
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s [%(process)d] %(message)s"
    )
    dealing, talking, finished, limits = map(int, sys.argv[1:5])
    colleagues = SupervisedWorkerGroup()
    line = SupervisorLink(
        socket.socket(fileno=dealing), socket.socket(fileno=talking), SharedCount(finished), colleagues
    )
    try:
        with open_server_process(settings, colleagues, open_limits(limits)) as process:
            WorkerServer(process, settings, line).run()
    except StartupError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
