"""The socket, the web server around the application, and its graceful end."""

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

from serve.access.tls import Tls
from serve.engine.errors import ListenError
from serve.rest.http import Bodies, BoundedHttp, Limits
from serve.settings import Settings

# Clients keep connections open between requests; one that is closed under them costs a failed request.
KEEP_ALIVE_SECONDS = 75
TICKS_PER_SECOND = 10  # of uvicorn's main loop
# All large bodies together may be as large as so many of the largest.
LARGEST_BODIES = 16
Drain = Callable[[float], Awaitable[None]]


class Beside(Protocol):
    """Another door to the same engine, which is open as long as the web server is."""

    async def start(self) -> None:
        """Open it."""

    async def stop(self, grace_seconds: float) -> None:
        """Close it, once what was asked is answered, or after so many seconds."""


def stop_cleanly_on_signals() -> None:
    """From now on SIGTERM and SIGINT end the process with status 0.

    The web server answers them while it runs, by finishing what it has begun, and then raises them again.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit)


class Server(uvicorn.Server):
    """The web server, which at a signal first lets what was asked be answered, and at the second ends."""

    def __init__(
        self, config: uvicorn.Config, drain: Drain, grace_seconds: int, beside: Sequence[Beside]
    ) -> None:
        """`drain` takes no new requests and waits for those there are, for at most so many seconds."""
        super().__init__(config)
        self._drain = drain
        self._grace_seconds = grace_seconds
        self._beside = beside

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open every door; raises `ListenError`."""
        await super().startup(sockets)
        for door in self._beside:
            await door.start()

    async def on_tick(self, counter: int) -> bool:
        """Once a second, end the connections that have stalled; whether to stop."""
        if counter % TICKS_PER_SECOND == 0:
            now = monotonic()
            for connection in list(self.server_state.connections):
                if isinstance(connection, BoundedHttp):
                    connection.look(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then close; together no longer than the grace. Connections are taken until all is answered.

        So whoever asks meanwhile, a load balancer for one, is told why, instead of finding nobody.
        """
        end = monotonic() + self._grace_seconds
        if self._grace_seconds:
            await self._within_grace(self._drain, end)
        for door in self._beside:
            await self._within_grace(door.stop, end)
        left = 0 if self.force_exit else max(0, ceil(end - monotonic()))
        self.config.timeout_graceful_shutdown = left
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; the second signal, whichever it is, ends the grace."""
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
    beside: Sequence[Beside] = (),
) -> None:
    """Answer requests until a signal; then finish what runs, for at most so many seconds."""
    config = configured(app, settings, tls)
    Server(config, drain, settings.stop_grace_seconds, beside).run(sockets=[listener])


def configured(app: ASGIApp, settings: Settings, tls: Tls | None) -> uvicorn.Config:
    """How the web server serves the application."""
    limits = limits_of(settings)
    return uvicorn.Config(
        app,
        http=partial(BoundedHttp, limits=limits),  # type: ignore[arg-type]  # it only calls what it takes here
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


def limits_of(settings: Settings) -> Limits:
    """The bounds that the settings give."""
    bodies = Bodies(LARGEST_BODIES * settings.body_limit_bytes)
    return Limits(settings.connections, settings.stall_seconds, bodies)


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address; raises `ListenError` if that is taken, unknown or not allowed."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        # A name that cannot be resolved has its own numbers; for the rest Python adds the address once more.
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise ListenError(f"cannot listen on `{host}` port `{port}`: {reason}") from error


def url(listener: socket.socket, scheme: str = "http") -> str:
    """Where a browser on this machine finds the server."""
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
