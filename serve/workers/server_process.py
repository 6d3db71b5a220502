"""One process of the server: the engine and its doors, as the settings ask for them."""

import gc
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from prometheus_client import CollectorRegistry, ProcessCollector
from starlette.types import ASGIApp

from serve.access.control import Entrance
from serve.access.limits import ClientLimits
from serve.access.tls import Tls
from serve.engine.engine import Engine, open_engine
from serve.engine.metrics import Metrics
from serve.observe.observers import Watchers, open_watchers
from serve.options import engine_options, entrance_of, tls_of
from serve.rest.app import create_app
from serve.rest.server import Beside
from serve.settings import Settings
from serve.shared.engine import SharedEngine
from serve.shared.worker_group import Colleagues


@dataclass(frozen=True, slots=True)
class Process:
    """What answers: the engine, the web application, and the doors beside it."""

    engine: Engine
    app: ASGIApp
    beside: tuple[Beside, ...]
    tls: Tls | None


@contextmanager
def opened(
    settings: Settings, colleagues: Colleagues, limits: ClientLimits | None = None
) -> Iterator[Process]:
    """The process's parts, with every model loaded; closed after the block. Raises `StartupError`.

    `limits` are those that it counts together with its colleagues.
    """
    with ExitStack() as closing:
        entrance = entrance_of(settings, limits)
        closing.callback(entrance.audit.close)
        tls, watchers = tls_of(settings), open_watchers(settings.access_log, settings.otlp_endpoint)
        closing.callback(watchers.close)
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        made = partial(SharedEngine, colleagues=colleagues)
        engine = open_engine(engine_options(settings), Metrics(registry), made)
        closing.callback(engine.close)
        app = create_app(engine, settings, colleagues, entrance, watchers)
        beside = (
            (_grpc_door(engine, settings, colleagues, entrance, tls, watchers),) if settings.grpc_port else ()
        )
        # What is loaded by now stays: the collector need not look at it again and again between requests.
        gc.collect()
        gc.freeze()
        yield Process(engine, app, beside, tls)


def _grpc_door(
    engine: Engine,
    settings: Settings,
    colleagues: Colleagues,
    entrance: Entrance,
    tls: Tls | None,
    watchers: Watchers,
) -> Beside:
    # Imported only where it is wanted, since gRPC takes memory.
    from serve.grpc.server import GrpcOptions, GrpcServer, credentials  # noqa: PLC0415

    options = GrpcOptions(
        settings.host,
        settings.grpc_port,
        settings.body_limit_bytes,
        gate=entrance.gate,
        audit=entrance.audit,
        watchers=watchers,
        credentials=None if tls is None else credentials(tls),
        colleagues=colleagues,
        shares_port=settings.workers > 1,
    )
    return GrpcServer(engine, options)
