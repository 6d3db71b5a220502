"""One of several processes: it answers the connections that the supervisor deals to it.

`python -m serve.workers.worker DEALING TALKING`: the descriptors of two sockets to the supervisor, which
writes the settings to standard input.
"""

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

import typer
import uvicorn

from serve.engine.errors import StartupError
from serve.process import opened
from serve.rest.server import Beside, Drain, Server, configured, stop_cleanly_on_signals
from serve.settings import Settings
from serve.workers.channel import Channel
from serve.workers.colleagues import ManyColleagues
from serve.workers.supervisor import READY

MOST_DESCRIPTORS = 16
"""Connections in one message: the supervisor sends one."""


@dataclass(frozen=True, slots=True)
class Line:
    """What leads to the supervisor: where connections come from, where it talks, and who answers it."""

    dealing: socket.socket
    talking: socket.socket
    colleagues: ManyColleagues


class DealtServer(Server):
    """A web server without a port of its own."""

    def __init__(
        self,
        config: uvicorn.Config,
        drain: Drain,
        grace_seconds: int,
        beside: Sequence[Beside],
        supervisor: "Line",
    ) -> None:
        """The supervisor gives it connections, and asks what its colleagues are asked."""
        super().__init__(config, drain, grace_seconds, beside)
        self._supervisor = supervisor
        self._tasks: set[asyncio.Task[object]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Be ready for connections, and say so."""
        await super().startup([])
        reader, writer = await asyncio.open_connection(sock=self._supervisor.talking)
        colleagues = self._supervisor.colleagues
        channel = colleagues.channel = Channel(reader, writer, colleagues.own)
        self._keep(channel.listen()).add_done_callback(self._supervisor_is_gone)
        self._supervisor.dealing.setblocking(False)
        asyncio.get_running_loop().add_reader(self._supervisor.dealing, self._take)
        await channel.ask(READY)

    def _take(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                content, descriptors, _, _ = socket.recv_fds(self._supervisor.dealing, 1, MOST_DESCRIPTORS)
                for each in descriptors:
                    self._keep(self._answer(socket.socket(fileno=each)))
                if not content:
                    asyncio.get_running_loop().remove_reader(self._supervisor.dealing)
                    return

    async def _answer(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._protocol, connection, ssl=self.config.ssl
            )
        except OSError:  # it is gone already, or is not TLS
            connection.close()

    def _protocol(self) -> asyncio.Protocol:
        made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made

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
    settings = Settings.model_validate_json(sys.stdin.read())
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s [%(process)d] %(message)s"
    )
    stop_cleanly_on_signals()
    dealing, talking = (socket.socket(fileno=int(each)) for each in sys.argv[1:3])
    line = Line(dealing, talking, ManyColleagues())
    try:
        with opened(settings, line.colleagues) as process:
            grace = settings.stop_grace_seconds
            config = configured(process.app, settings, process.tls)
            DealtServer(config, process.engine.drain, grace, process.beside, line).run()
    except StartupError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
