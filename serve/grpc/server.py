"""The gRPC server: its options, its start and its stop."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

from serve.access.control import AccessControl
from serve.access.tls import Tls
from serve.engine.engine import Engine
from serve.grpc.handlers import CallHandlers
from serve.grpc.streams import CallBudget
from serve.http2.connection import Http2Connection
from serve.http2.session import Http2Limits
from serve.observe.observers import Observers
from serve.shared.regions import MemoryRegions, open_regions
from serve.shared.worker_group import WorkerGroup

if TYPE_CHECKING:
    from serve.rollout.trials import Trials

CALLS_AT_ONCE = 1024
# All large messages together may have as many bytes as so many of the largest.
LARGEST_MESSAGES = 16
CHECK_SECONDS = 1.0
TICK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class GrpcOptions:
    """The limits and parts of the server."""

    message_limit_bytes: int
    access: AccessControl = field(default_factory=AccessControl)
    observers: Observers = field(default_factory=Observers)
    tls: Tls | None = None
    workers: WorkerGroup = field(default_factory=WorkerGroup)
    regions: MemoryRegions | None = None
    """The clients' shared memory; none is taken without it."""
    trials: "Trials | None" = None
    """The experiments; none runs without them."""
    limits: Http2Limits = field(default_factory=Http2Limits)


class GrpcServer:
    """Serves the protocol's methods for one engine, on the engine's event loop and given connections."""

    def __init__(self, engine: Engine, options: GrpcOptions) -> None:
        """It takes connections once it is started."""
        self._engine = engine
        self._options = options
        self._connections: set[Http2Connection] = set()
        self._checking: asyncio.TimerHandle | None = None
        self.tls_context = None if options.tls is None else options.tls.http2_context
        """The TLS of its connections."""

    async def start(self) -> None:
        """Take connections from now on."""
        options = self._options
        limit = options.message_limit_bytes
        self._handlers = CallHandlers(
            self._engine,
            options.access,
            options.observers,
            options.workers,
            options.regions or open_regions("", limit, options.workers),
            CallBudget(CALLS_AT_ONCE, LARGEST_MESSAGES * limit, limit),
            options.trials,
        )
        self._check()

    def make_connection(self, on_close: Callable[[], None]) -> Http2Connection:
        """The protocol of a new connection; `on_close` is called once it is closed."""
        return Http2Connection(self._handlers.open, self._options.limits, self._connections, on_close)

    async def stop(self, grace_seconds: float) -> None:
        """Let the clients go elsewhere, and end the calls in progress after so many seconds."""
        if self._checking is None:
            return
        self._handlers.end()
        end = monotonic() + grace_seconds
        while self._connections and monotonic() < end:
            for connection in list(self._connections):  # some may be new
                connection.leave(monotonic())
            await asyncio.sleep(TICK_SECONDS)
        for connection in list(self._connections):
            connection.abort()
        while self._connections:
            await asyncio.sleep(0)
        self._checking.cancel()

    def _check(self) -> None:
        """End what stalls, once a second."""
        now = monotonic()
        for connection in list(self._connections):
            connection.check(now)
        self._checking = asyncio.get_running_loop().call_later(CHECK_SECONDS, self._check)
