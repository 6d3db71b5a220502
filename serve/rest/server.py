"""The web server around the application, and its graceful stop."""

import asyncio
import signal
import socket
from collections.abc import Iterator, Sequence
from functools import partial
from time import monotonic
from types import FrameType
from typing import Protocol

import uvicorn
from starlette.types import ASGIApp

from serve.access.hosts import AllowedHosts
from serve.access.tls import Tls
from serve.engine.engine import Engine
from serve.rest.http import BodyBudget, BoundedHttpProtocol, ConnectionLimits, Stop
from serve.settings import Settings

# Clients keep connections open between requests; one that the server closes may cost a failed request.
KEEP_ALIVE_SECONDS = 75
TICKS_PER_SECOND = 10  # of uvicorn's main loop
STOP_TICK_SECONDS = 0.02
# All large bodies together may have as many bytes as so many of the largest.
LARGEST_BODIES = 16


class SideServer(Protocol):
    """Something else that asks the same engine, and runs as long as the web server does."""

    async def start(self) -> None:
        """Take requests from now on; raises `ListenError`."""

    async def stop(self, grace_seconds: float) -> None:
        """Take no more requests; return once all are answered, or after so many seconds."""


def stop_cleanly_on_signals() -> None:
    """From now on SIGTERM and SIGINT end the process with status 0.

    While the web server runs, it handles them by finishing its requests, and then raises them again.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit)


class Server(uvicorn.Server):
    """A web server that gets its connections from elsewhere.

    The first signal lets the requests that come be answered, the second ends it.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        engine: Engine,
        limits: ConnectionLimits,
        grace_seconds: float,
        side_servers: Sequence[SideServer],
    ) -> None:
        """`limits` are those of the configuration's connections."""
        super().__init__(config)
        self._engine = engine
        self._limits = limits
        self._grace_seconds = grace_seconds
        self._side_servers = side_servers

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the servers; raises `ListenError`."""
        await super().startup(sockets)
        for server in self._side_servers:
            await server.start()

    async def on_tick(self, counter: int) -> bool:
        """Whether to stop; once a second, stalled connections are ended."""
        self._engine.memory.load_wanted()
        if counter % TICKS_PER_SECOND == 0:
            now = monotonic()
            for connection in self._connections():
                connection.end_if_stalled(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what still comes, then end, within the grace.

        A client may have sent a request before it can know of the stop. So a connection is closed with its
        next answer, or once it has been idle for a while.
        """
        end = monotonic() + self._grace_seconds
        self._engine.announce_end()
        self._limits.stop.has_begun = True
        for connection in self._connections():
            connection.linger()
        sides = [asyncio.ensure_future(side.stop(self._grace_seconds)) for side in self._side_servers]
        while self._has_work() or not all(side.done() for side in sides):
            if self.force_exit or monotonic() >= end:
                break
            await asyncio.sleep(STOP_TICK_SECONDS)
            await self.on_tick(0)
        await asyncio.gather(*map(self._end_side, self._side_servers, sides))
        # What still runs is cancelled, and answered so.
        self.config.timeout_graceful_shutdown = 0 if self._has_work() or self.server_state.tasks else None
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; a second signal ends the grace."""
        self.force_exit = self.should_exit
        super().handle_exit(sig, frame)

    def _has_work(self) -> bool:
        """Whether a connection is open or may still come."""
        return bool(self.server_state.connections)

    def _connections(self) -> Iterator[BoundedHttpProtocol]:
        for connection in list(self.server_state.connections):
            if isinstance(connection, BoundedHttpProtocol):
                yield connection

    async def _end_side(self, side: SideServer, stopping: "asyncio.Future[None]") -> None:
        """Raises what its stop raised; one that is not done is stopped without a grace."""
        if stopping.done():
            return stopping.result()
        stopping.cancel()
        return await side.stop(0.0)


def make_config(
    app: ASGIApp, settings: Settings, tls: Tls | None, limits: ConnectionLimits
) -> uvicorn.Config:
    """The web server's configuration for the application."""
    return uvicorn.Config(
        app,
        http=partial(BoundedHttpProtocol, limits=limits),  # type: ignore[arg-type]  # uvicorn only calls it
        ssl_context_factory=None if tls is None else lambda config, default: tls.context,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level=settings.log_level,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.stop_grace_seconds,
    )


def make_limits(settings: Settings) -> ConnectionLimits:
    """The settings' limits of connections."""
    budget = BodyBudget(LARGEST_BODIES * settings.body_limit_bytes)
    names = [name.strip() for name in settings.allowed_hosts.split(",") if name.strip()]
    hosts = AllowedHosts(names) if names else None
    stop = Stop(settings.stop_linger_seconds)
    return ConnectionLimits(settings.connections, settings.stall_seconds, budget, hosts, stop)


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)
