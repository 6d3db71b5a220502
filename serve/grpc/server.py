"""The gRPC server: its options, its start and its stop."""

import asyncio
import socket
from dataclasses import dataclass, field
from time import monotonic

from serve.access.control import AccessControl
from serve.access.tls import Tls
from serve.engine.engine import Engine
from serve.engine.errors import ListenError
from serve.grpc.handlers import CallHandlers
from serve.grpc.streams import CallBudget
from serve.http2.connection import Http2Connection
from serve.http2.session import Http2Limits
from serve.observe.observers import Observers
from serve.shared.regions import MemoryRegions, open_regions
from serve.shared.worker_group import WorkerGroup

CALLS_AT_ONCE = 1024
# All large messages together may have as many bytes as so many of the largest.
LARGEST_MESSAGES = 16
BACKLOG = 1024
CHECK_SECONDS = 1.0
TICK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class GrpcOptions:
    """The address, limits and parts of the server; port 0 picks a free one."""

    host: str
    port: int
    message_limit_bytes: int
    access: AccessControl = field(default_factory=AccessControl)
    observers: Observers = field(default_factory=Observers)
    tls: Tls | None = None
    workers: WorkerGroup = field(default_factory=WorkerGroup)
    regions: MemoryRegions | None = None
    """The clients' shared memory; none is taken without it."""
    limits: Http2Limits = field(default_factory=Http2Limits)
    shares_port: bool = False


class GrpcServer:
    """Serves the protocol's methods for one engine, on the engine's event loop."""

    def __init__(self, engine: Engine, options: GrpcOptions) -> None:
        """It does not listen yet."""
        self._engine = engine
        self._options = options
        self._connections: set[Http2Connection] = set()
        self._server: asyncio.Server | None = None
        self._checking: asyncio.TimerHandle | None = None
        self.port = options.port

    async def start(self) -> None:
        """Take calls on `port` from now on; raises `ListenError`."""
        options = self._options
        limit = options.message_limit_bytes
        self._handlers = CallHandlers(
            self._engine,
            options.access,
            options.observers,
            options.workers,
            options.regions or open_regions("", limit, options.workers),
            CallBudget(CALLS_AT_ONCE, LARGEST_MESSAGES * limit, limit),
        )
        listener = _listen(options)
        self.port = listener.getsockname()[1]
        tls = None if options.tls is None else options.tls.http2_context
        self._server = await asyncio.get_running_loop().create_server(
            self.make_connection, sock=listener, ssl=tls, backlog=BACKLOG
        )
        self._check()

    def make_connection(self) -> Http2Connection:
        """The protocol of a new connection."""
        return Http2Connection(self._handlers.open, self._options.limits, self._connections)

    async def stop(self, grace_seconds: float) -> None:
        """Take no more calls, and end those in progress after so many seconds."""
        if self._server is None:
            return
        self._server.close()
        self._handlers.end()
        for connection in list(self._connections):
            connection.leave()
        end = monotonic() + grace_seconds
        while self._connections and monotonic() < end:
            await asyncio.sleep(TICK_SECONDS)
        for connection in list(self._connections):
            connection.abort()
        while self._connections:
            await asyncio.sleep(0)
        if self._checking is not None:
            self._checking.cancel()

    def _check(self) -> None:
        """End what stalls, once a second."""
        now = monotonic()
        for connection in list(self._connections):
            connection.check(now)
        self._checking = asyncio.get_running_loop().call_later(CHECK_SECONDS, self._check)


def _listen(options: GrpcOptions) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            options.host, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(
            address[:2], family=family, backlog=BACKLOG, reuse_port=options.shares_port
        )
    except OSError as error:
        raise ListenError(f"cannot listen for gRPC on `{options.host}` port `{options.port}`") from error
