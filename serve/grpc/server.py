"""The gRPC server: its options, its start and its stop."""

from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio

from serve.access.control import AccessControl
from serve.access.tls import Tls, TlsCredentials
from serve.engine.engine import Engine
from serve.engine.errors import ListenError
from serve.grpc.handlers import MethodHandlers
from serve.observe.observers import Observers
from serve.shared.worker_group import WorkerGroup

CALLS_AT_ONCE = 1024
IDLE_MS, ANSWER_MS = 60_000, 20_000  # a silent connection gets a ping, and is closed without its answer
METADATA_BYTES = 2**14
MOST_PENDING = 2**13
"""Calls that may come at once. Beyond a thousand gRPC would cancel some, instead of refusing those beyond
CALLS_AT_ONCE with a status that says so."""


@dataclass(frozen=True, slots=True)
class GrpcOptions:
    """The address, limits and parts of the server; port 0 picks a free one."""

    host: str
    port: int
    message_limit_bytes: int
    access: AccessControl = field(default_factory=AccessControl)
    observers: Observers = field(default_factory=Observers)
    credentials: grpc.ServerCredentials | None = None
    workers: WorkerGroup = field(default_factory=WorkerGroup)
    shares_port: bool = False


class GrpcServer:
    """Serves the protocol's methods for one engine, on the engine's event loop."""

    def __init__(self, engine: Engine, options: GrpcOptions) -> None:
        """It does not listen yet."""
        self._engine = engine
        self._options = options
        self._server: Any = None
        self.port = options.port

    async def start(self) -> None:
        """Take calls on `port` from now on; raises `ListenError`."""
        options = self._options
        server = grpc.aio.server(maximum_concurrent_rpcs=CALLS_AT_ONCE, options=_channel_options(options))
        self._handlers = MethodHandlers(
            self._engine,
            options.access,
            options.observers,
            options.workers,
            options.message_limit_bytes,
        )
        server.add_generic_rpc_handlers((self._handlers,))
        host = f"[{options.host}]" if ":" in options.host else options.host
        address = f"{host}:{options.port}"
        try:
            if options.credentials is None:
                self.port = server.add_insecure_port(address)
            else:
                self.port = server.add_secure_port(address, options.credentials)
        except RuntimeError as error:
            raise ListenError(f"cannot listen for gRPC on `{options.host}` port `{options.port}`") from error
        await server.start()
        self._server = server

    async def stop(self, grace_seconds: float) -> None:
        """Take no more calls, and end those in progress after so many seconds."""
        if self._server is not None:
            self._handlers.end()
            await self._server.stop(grace_seconds)


def make_credentials(tls: Tls) -> grpc.ServerCredentials:
    """TLS credentials, renewed with the same files as for HTTP; gRPC takes no TLS older than 1.2."""
    current = tls.newest()

    def renew() -> Any:
        """The configuration of new connections; None where it has not changed."""
        nonlocal current
        newest = tls.newest()
        if newest is current:
            return None
        current = newest
        return _make_configuration(newest)

    return grpc.dynamic_ssl_server_credentials(
        _make_configuration(current), renew, require_client_authentication=current.client_ca is not None
    )


def _make_configuration(files: TlsCredentials) -> Any:
    return grpc.ssl_server_certificate_configuration([(files.key, files.certificate)], files.client_ca)


def _channel_options(options: GrpcOptions) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", options.message_limit_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", METADATA_BYTES),
        ("grpc.keepalive_time_ms", IDLE_MS),
        ("grpc.keepalive_timeout_ms", ANSWER_MS),
        ("grpc.so_reuseport", int(options.shares_port)),
        ("grpc.server.max_pending_requests", MOST_PENDING),
        ("grpc.server.max_pending_requests_hard_limit", MOST_PENDING),
    ]
