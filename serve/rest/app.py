"""The web application: middleware, routers, error handlers, and the interactive page of the API."""

import logging
from collections.abc import Callable, Iterator
from functools import partial
from importlib.resources import files
from math import ceil
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI, Response
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from serve.access.control import AccessControl, Authorizer
from serve.engine.engine import Engine
from serve.observe.log_settings import install_log_filter
from serve.observe.observers import Observers
from serve.options import make_access_control
from serve.protocol.descriptions import ServerMetadata
from serve.rejections import count_rejection
from serve.rest.access import describe_keys
from serve.rest.console import console_routes, read_console
from serve.rest.drift import drift_routes
from serve.rest.errors import HANDLERS
from serve.rest.extensions import log_settings_routes, trace_routes
from serve.rest.health import health_routes
from serve.rest.infer import InferEndpoint, infer_routes
from serve.rest.live import LiveStreams, live_routes
from serve.rest.metrics import metrics_routes, statistics_routes
from serve.rest.middleware import InferenceMiddleware, ObservingMiddleware
from serve.rest.models import alias_routes, configuration_routes, model_routes, repository_routes
from serve.rest.overview import audit_routes, overview_routes, reader_routes
from serve.rest.pacing import LateRefusals
from serve.rest.predict import PredictEndpoint, predict_routes
from serve.rest.refusals import QueueGate
from serve.rest.schemas import describe_errors
from serve.rest.shared_memory import cuda_memory_routes, system_memory_routes
from serve.settings import Settings
from serve.shared.drift import SharedDrift
from serve.shared.experiments import join_followers
from serve.shared.live import LiveReader
from serve.shared.live_history import LiveHistory
from serve.shared.metrics import register_metrics
from serve.shared.regions import MemoryRegions, open_regions
from serve.shared.worker_group import WorkerGroup

if TYPE_CHECKING:
    from serve.rollout.rollout import Rollout

TITLE = "adaptact"
DOCS_FILES = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon.png": "image/png",
}
NO_OBSERVERS = Observers()


def create_app(  # noqa: PLR0913, PLR0917  # the parts of a process
    engine: Engine,
    settings: Settings,
    workers: WorkerGroup | None = None,
    access: AccessControl | None = None,
    observers: Observers = NO_OBSERVERS,
    regions: MemoryRegions | None = None,
    rollout: "Rollout | None" = None,
    drift: SharedDrift | None = None,
    history: LiveHistory | None = None,
) -> ASGIApp:
    """The application that serves this engine, alone or as one of several workers.

    `access` and `regions` are shared with gRPC; by default they are made from the settings. The observers see
    each request. Without a `rollout` there are no experiments, and without `drift` no routes of it. What is
    done is noted while the `history` is started.
    """
    workers = workers or WorkerGroup()
    register_metrics(engine.metrics.registry, workers)
    app = FastAPI(
        title=TITLE,
        version=ServerMetadata().version,
        description="Inference on ONNX models by the Open Inference Protocol v2, and `:predict`.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers=HANDLERS,
    )
    regions = regions or open_regions(settings.shared_memory, settings.body_limit_bytes, workers)
    trials = None if rollout is None else rollout.trials
    infer = InferEndpoint(engine, settings.body_limit_bytes, regions, trials)
    predict = PredictEndpoint(engine, settings.body_limit_bytes, trials)
    access = access or make_access_control(settings)
    for router in _make_routers(engine, infer, predict, workers, regions):
        app.include_router(router)
    shared = None if rollout is None else rollout.aliases
    app.include_router(alias_routes(engine, shared or engine))
    if rollout is not None:
        for router in _make_rollout_routers(rollout, settings.body_limit_bytes, workers):
            app.include_router(router)
    if drift is not None:
        app.include_router(drift_routes(drift))
    history = history or open_history(engine, workers, rollout)
    for router in _make_console_routers(
        engine, settings, access, history, has_experiments=rollout is not None
    ):
        app.include_router(router)
    app.openapi = partial(_describe, app.openapi, access.authorizer)  # type: ignore[method-assign]  # as FastAPI's manual says
    access.authorizer.on_refusal = partial(count_rejection, engine.metrics)
    late = LateRefusals(ceil(settings.connections / max(1, settings.workers)))
    gate = QueueGate(engine, access.authorizer, late, trials)
    served = InferenceMiddleware(app, infer.answer, predict.answer, gate, access)
    return (
        served
        if observers == NO_OBSERVERS
        else ObservingMiddleware(served, observers, access.authorizer.proxies)
    )


def open_history(engine: Engine, workers: WorkerGroup, rollout: "Rollout | None") -> LiveHistory:
    """What this worker does, for those who look on or look back."""
    read_variants = None if rollout is None else rollout.trials.metrics.read_variants
    return LiveHistory(LiveReader(engine, workers, read_variants), workers)


def _make_routers(
    engine: Engine,
    infer: InferEndpoint,
    predict: PredictEndpoint,
    workers: WorkerGroup,
    regions: MemoryRegions,
) -> tuple[APIRouter, ...]:
    log_filter = install_log_filter(logging.getLogger("adaptact"), workers)
    return (
        infer_routes(infer),
        predict_routes(engine, predict),
        health_routes(engine),
        statistics_routes(engine),
        model_routes(engine, regions.extensions),
        configuration_routes(engine),
        repository_routes(engine),
        log_settings_routes(log_filter, workers),
        trace_routes(engine),
        system_memory_routes(regions),
        cuda_memory_routes(),
        metrics_routes(workers),
        docs_routes(TITLE),
    )


def _make_rollout_routers(
    rollout: "Rollout", body_limit_bytes: int, workers: WorkerGroup
) -> tuple[APIRouter, ...]:
    # Imported only where it is used, since a database's library takes memory and time.
    from serve.rest.experiments import experiment_routes, feedback_routes  # noqa: PLC0415
    from serve.rest.plans import plan_routes  # noqa: PLC0415

    return (
        plan_routes(rollout.administration, rollout.planner),
        experiment_routes(rollout.administration, join_followers(workers, rollout.follower.catch_up)),
        feedback_routes(
            *(rollout.store, rollout.ids, rollout.metric_names, rollout.trials.metrics), body_limit_bytes
        ),
    )


def _make_console_routers(
    engine: Engine,
    settings: Settings,
    access: AccessControl,
    history: LiveHistory,
    *,
    has_experiments: bool,
) -> Iterator[APIRouter]:
    """The routes that the console asks beside all others, which others may ask as well; and its files."""
    streams = LiveStreams(history.live.read, lambda: engine.is_ending, settings.workers)
    yield live_routes(streams, history.read, access.authorizer)
    yield overview_routes(engine, is_verified=settings.require_signature is not None)
    yield reader_routes(access, has_experiments=has_experiments)
    yield audit_routes(access)
    if settings.console:
        yield console_routes(read_console())


def _describe(openapi: Callable[[], dict[str, Any]], authorizer: Authorizer) -> dict[str, Any]:
    document = describe_errors(openapi())
    return describe_keys(document, authorizer.is_local_admin) if authorizer.has_keys else document


def docs_routes(title: str) -> APIRouter:
    """The page of the API and its files, which need no network."""
    router = APIRouter(prefix="/docs", include_in_schema=False)

    @router.get("")
    async def page() -> Response:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=title,
            swagger_js_url="/docs/swagger-ui-bundle.js",
            swagger_css_url="/docs/swagger-ui.css",
            swagger_favicon_url="/docs/favicon.png",
        )

    @router.get("/{name}")
    async def file(name: str) -> Response:
        if name not in DOCS_FILES:
            raise HTTPException(404)
        content = (files("fastapi_offline") / "static" / name).read_bytes()
        return Response(content, media_type=DOCS_FILES[name])

    return router
