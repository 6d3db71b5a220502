"""The web server around the application, its socket and its graceful stop."""

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from math import ceil
from time import monotonic
from types import FrameType
from typing import Protocol

import uvicorn
from starlette.types import ASGIApp

from serve.access.hosts import AllowedHosts
from serve.access.tls import Tls
from serve.engine.errors import ListenError
from serve.rest.http import BodyBudget, BoundedHttpProtocol, ConnectionLimits
from serve.settings import Settings

# Clients keep connections open between requests; one that the server closes may cost a failed request.
KEEP_ALIVE_SECONDS = 75
TICKS_PER_SECOND = 10  # of uvicorn's main loop
# All large bodies together may have as many bytes as so many of the largest.
LARGEST_BODIES = 16

Drain = Callable[[float], Awaitable[None]]


class SideServer(Protocol):
    """Another server of the same engine, which runs as long as the web server does."""

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
    """The web server; the first signal lets its requests be answered, the second ends it."""

    def __init__(
        self, config: uvicorn.Config, drain: Drain, grace_seconds: int, side_servers: Sequence[SideServer]
    ) -> None:
        """`drain` takes no new requests and waits for those in progress, for at most so many seconds."""
        super().__init__(config)
        self._drain = drain
        self._grace_seconds = grace_seconds
        self._side_servers = side_servers

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the servers; raises `ListenError`."""
        await super().startup(sockets)
        for server in self._side_servers:
            await server.start()

    async def on_tick(self, counter: int) -> bool:
        """Whether to stop; once a second, stalled connections are ended."""
        if counter % TICKS_PER_SECOND == 0:
            now = monotonic()
            for connection in list(self.server_state.connections):
                if isinstance(connection, BoundedHttpProtocol):
                    connection.end_if_stalled(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then close, together within the grace.

        New connections are accepted until all is answered, so that a load balancer learns why it is refused.
        """
        end = monotonic() + self._grace_seconds
        if self._grace_seconds:
            await self._within_grace(self._drain, end)
        for server in self._side_servers:
            await self._within_grace(server.stop, end)
        self.config.timeout_graceful_shutdown = 0 if self.force_exit else max(0, ceil(end - monotonic()))
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; a second signal ends the grace."""
        self.force_exit = self.should_exit
        super().handle_exit(sig, frame)

    async def _within_grace(self, stop: Drain, end: float) -> None:
        stopping = asyncio.ensure_future(stop(max(0.0, end - monotonic())))
        while not stopping.done() and not self.force_exit:
            await asyncio.wait((stopping,), timeout=1 / TICKS_PER_SECOND)
        if stopping.done():
            return stopping.result()
        stopping.cancel()
        return await stop(0.0)


def run(
    app: ASGIApp,
    listener: socket.socket,
    drain: Drain,
    settings: Settings,
    tls: Tls | None,
    side_servers: Sequence[SideServer] = (),
) -> None:
    """Answer requests until a signal; then finish those in progress, within the settings' grace."""
    config = make_config(app, settings, tls)
    Server(config, drain, settings.stop_grace_seconds, side_servers).run(sockets=[listener])


def make_config(app: ASGIApp, settings: Settings, tls: Tls | None) -> uvicorn.Config:
    """The web server's configuration for the application."""
    limits = make_limits(settings)
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
    return ConnectionLimits(settings.connections, settings.stall_seconds, budget, hosts)


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address; raises `ListenError` if that is taken, unknown or not allowed."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        # An unresolved name has error numbers of its own; to other texts Python adds the address again.
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise ListenError(f"cannot listen on `{host}` port `{port}`: {reason}") from error


def format_url(listener: socket.socket, scheme: str = "http") -> str:
    """The server's URL for a browser on this machine."""
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)
