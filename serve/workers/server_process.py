"""One process of the server: the engine and its servers, after the settings."""

import gc
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector
from starlette.types import ASGIApp

from adaptact.memory import share_one_arena
from serve.access.control import AccessControl
from serve.access.limits import ClientLimits
from serve.access.tls import Tls
from serve.drift.monitor import DriftMonitor
from serve.engine.cores import CoreCounts
from serve.engine.engine import Engine, open_engine
from serve.engine.errors import StartupError
from serve.engine.hung_files import HungFile
from serve.engine.metrics import Metrics
from serve.experiments.errors import ExperimentError
from serve.observe.observers import Observers, open_observers
from serve.options import (
    make_access_control,
    make_drift_options,
    make_engine_options,
    make_rollout_options,
    make_tls,
)
from serve.rejections import fault_number
from serve.rest.app import create_app, open_history
from serve.rest.server import SideServer
from serve.settings import Settings
from serve.shared.drift import SharedDrift
from serve.shared.engine import SharedEngine
from serve.shared.live_history import LiveHistory
from serve.shared.regions import MemoryRegions, open_regions
from serve.shared.worker_group import WorkerGroup
from serve.sources.metrics import SourceCollector

if TYPE_CHECKING:
    from serve.grpc.server import GrpcServer
    from serve.rollout.rollout import Rollout
    from serve.rollout.trials import Trials


log = logging.getLogger("adaptact")


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """The engine, the web application, and what else runs as long as it."""

    engine: Engine
    app: ASGIApp
    grpc: "GrpcServer | None"
    trials: "Trials | None"
    drift: SharedDrift | None
    history: LiveHistory
    tls: Tls | None

    def list_side_servers(self) -> list[SideServer]:
        """What starts and stops with the web server."""
        sides = self.grpc, self.trials, self.drift, self.history
        return [side for side in sides if side is not None]


@contextmanager
def open_server_process(
    settings: Settings,
    workers: WorkerGroup,
    limits: ClientLimits,
    cores: CoreCounts,
    hung_files: tuple[HungFile, ...],
    is_replacement: bool,
) -> Iterator[ServerProcess]:
    """The process's parts, with every model loaded; closed after the block. Raises `StartupError`.

    `limits` and `cores` are counted together with the other workers; `hung_files` are refused at once. A
    replacement serves without experiments where they cannot be opened, so that inference goes on.
    """
    share_one_arena()
    with ExitStack() as closing:
        access = make_access_control(settings, limits)
        closing.callback(access.audit_log.close)
        tls, observers = make_tls(settings), open_observers(settings.access_log, settings.otlp_endpoint)
        closing.callback(observers.close)
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        if settings.source:
            registry.register(SourceCollector(settings.models))
        make_engine = partial(SharedEngine, workers=workers)
        shared = cores if settings.shared_runs else None
        monitor = _open_monitor(settings, closing)
        observe = None if monitor is None else monitor.watch
        options = replace(make_engine_options(settings), cores=shared, hung_files=hung_files, observe=observe)
        engine = open_engine(options, Metrics(registry), make_engine)
        closing.callback(engine.close)
        rollout = _open_rollout(engine, settings, is_replacement)
        if rollout is not None:
            closing.callback(rollout.close)
            engine.memory.pins = rollout.trials.list_models
        regions = open_regions(settings.shared_memory, settings.body_limit_bytes, workers)
        drift = None if monitor is None else SharedDrift(engine, monitor, workers)
        history = open_history(engine, workers, rollout)
        app = create_app(engine, settings, workers, access, observers, regions, rollout, drift, history)
        grpc = None
        if settings.grpc_port:
            grpc = _create_grpc_server(engine, settings, workers, access, tls, observers, regions, rollout)
        # The objects of now stay for good: between requests the garbage collector need not visit them.
        gc.collect()
        gc.freeze()
        trials = None if rollout is None else rollout.trials
        yield ServerProcess(engine, app, grpc, trials, drift, history, tls)


def _open_monitor(settings: Settings, closing: ExitStack) -> DriftMonitor | None:
    options = make_drift_options(settings)
    if options is None:
        return None
    monitor = DriftMonitor(options)
    closing.callback(monitor.close)
    return monitor


def _open_rollout(engine: Engine, settings: Settings, is_replacement: bool) -> "Rollout | None":
    options = make_rollout_options(settings)
    if options is None:
        return None
    if is_replacement:
        options = replace(options, definitions=None)  # read by the first workers, and maybe edited since
    # Imported only where it is used, since a database's library takes memory and time.
    from serve.rollout.rollout import open_rollout  # noqa: PLC0415

    try:
        return open_rollout(engine, options, fault_number)
    except ExperimentError as error:
        if not is_replacement:
            raise StartupError(f"experiments: {error}") from error
        log.error("this worker serves without experiments until the server is restarted: %s", error)
        return None


def _create_grpc_server(  # noqa: PLR0913, PLR0917  # the parts of a process
    engine: Engine,
    settings: Settings,
    workers: WorkerGroup,
    access: AccessControl,
    tls: Tls | None,
    observers: Observers,
    regions: MemoryRegions,
    rollout: "Rollout | None",
) -> "GrpcServer":
    # Imported only where it is used, since its messages take memory.
    from serve.grpc.server import GrpcOptions, GrpcServer  # noqa: PLC0415
    from serve.http2.session import Http2Limits  # noqa: PLC0415

    options = GrpcOptions(
        settings.body_limit_bytes,
        access=access,
        observers=observers,
        tls=tls,
        workers=workers,
        regions=regions,
        trials=None if rollout is None else rollout.trials,
        limits=Http2Limits(stall_seconds=settings.stall_seconds),
    )
    return GrpcServer(engine, options)
