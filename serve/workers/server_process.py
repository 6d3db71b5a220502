"""One process of the server: the engine and its doors, as the settings ask for them."""

import gc
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from prometheus_client import CollectorRegistry, ProcessCollector
from starlette.types import ASGIApp

from serve.access.control import AccessControl
from serve.access.limits import ClientLimits
from serve.access.tls import Tls
from serve.engine.engine import Engine, open_engine
from serve.engine.metrics import Metrics
from serve.observe.observers import Observers, open_observers
from serve.options import make_access_control, make_engine_options, make_tls
from serve.rest.app import create_app
from serve.rest.server import Beside
from serve.settings import Settings
from serve.shared.engine import SharedEngine
from serve.shared.worker_group import WorkerGroup


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """What answers: the engine, the web application, and the doors beside it."""

    engine: Engine
    app: ASGIApp
    beside: tuple[Beside, ...]
    tls: Tls | None


@contextmanager
def open_server_process(
    settings: Settings, colleagues: WorkerGroup, limits: ClientLimits | None = None
) -> Iterator[ServerProcess]:
    """The process's parts, with every model loaded; closed after the block. Raises `StartupError`.

    `limits` are those that it counts together with its colleagues.
    """
    with ExitStack() as closing:
        entrance = make_access_control(settings, limits)
        closing.callback(entrance.audit_log.close)
        tls, watchers = make_tls(settings), open_observers(settings.access_log, settings.otlp_endpoint)
        closing.callback(watchers.close)
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        made = partial(SharedEngine, colleagues=colleagues)
        engine = open_engine(make_engine_options(settings), Metrics(registry), made)
        closing.callback(engine.close)
        app = create_app(engine, settings, colleagues, entrance, watchers)
        beside = (
            (_create_grpc_server(engine, settings, colleagues, entrance, tls, watchers),)
            if settings.grpc_port
            else ()
        )
        # What is loaded by now stays: the collector need not look at it again and again between requests.
        gc.collect()
        gc.freeze()
        yield ServerProcess(engine, app, beside, tls)


def _create_grpc_server(
    engine: Engine,
    settings: Settings,
    colleagues: WorkerGroup,
    entrance: AccessControl,
    tls: Tls | None,
    watchers: Observers,
) -> Beside:
    # Imported only where it is wanted, since gRPC takes memory.
    from serve.grpc.server import GrpcOptions, GrpcServer, credentials  # noqa: PLC0415

    options = GrpcOptions(
        settings.host,
        settings.grpc_port,
        settings.body_limit_bytes,
        gate=entrance.authorizer,
        audit=entrance.audit_log,
        watchers=watchers,
        credentials=None if tls is None else credentials(tls),
        colleagues=colleagues,
        shares_port=settings.workers > 1,
    )
    return GrpcServer(engine, options)
