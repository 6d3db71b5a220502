"""The web application: middleware, routers, error handlers, and the interactive page of the API."""

import logging
from functools import partial
from importlib.resources import files

from fastapi import APIRouter, FastAPI, Response
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from serve.access.control import AccessControl
from serve.engine.engine import Engine
from serve.observe.log_settings import install_log_filter
from serve.observe.observers import Observers
from serve.options import make_access_control
from serve.protocol.metadata import ServerMetadata
from serve.rejections import count_rejection
from serve.rest.access import with_keys
from serve.rest.errors import HANDLERS
from serve.rest.extensions import log_settings_routes, shared_memory_routes, trace_routes
from serve.rest.health import health_routes
from serve.rest.infer import Inference, infer_routes
from serve.rest.metrics import metrics_routes, statistics_routes
from serve.rest.middleware import Door, Observed
from serve.rest.models import alias_routes, model_routes, repository_routes
from serve.rest.predict import Prediction, predict_routes
from serve.settings import Settings
from serve.shared.metrics import register_metrics
from serve.shared.worker_group import WorkerGroup

ASSETS = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon.png": "image/png",
}


def docs_routes(title: str) -> APIRouter:
    """The page and the files it is made of."""
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
    async def asset(name: str) -> Response:
        if name not in ASSETS:
            raise HTTPException(404)
        return Response((files("fastapi_offline") / "static" / name).read_bytes(), media_type=ASSETS[name])

    return router


TITLE = "adaptact"
NOBODY = Observers()


def create_app(
    engine: Engine,
    settings: Settings,
    colleagues: WorkerGroup | None = None,
    entrance: AccessControl | None = None,
    watchers: Observers = NOBODY,
) -> ASGIApp:
    """The application that answers for this engine, alone or with colleagues.

    The entrance is shared with other doors; without one it is as the settings say. The watchers are told of
    each request.
    """
    colleagues = colleagues or WorkerGroup()
    register_metrics(engine.metrics.registry, colleagues)
    app = FastAPI(
        title=TITLE,
        version=ServerMetadata().version,
        description="Inference on ONNX models by the Open Inference Protocol v2, and `:predict`.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers=HANDLERS,
    )
    inference = Inference(engine, settings.body_limit_bytes)
    prediction = Prediction(engine, settings.body_limit_bytes)
    for router in _routers(engine, inference, prediction, colleagues):
        app.include_router(router)
    entrance = entrance or make_access_control(settings)
    if entrance.authorizer.has_keys:
        described = app.openapi
        app.openapi = lambda: with_keys(described())  # type: ignore[method-assign]  # as FastAPI's manual says
    entrance.authorizer.on_refusal = partial(count_rejection, engine.metrics)
    door = Door(app, inference.answer, prediction.answer, entrance)
    return door if watchers == NOBODY else Observed(door, watchers)


def _routers(
    engine: Engine, inference: Inference, prediction: Prediction, colleagues: WorkerGroup
) -> tuple[APIRouter, ...]:
    passing = install_log_filter(logging.getLogger("adaptact"), colleagues)
    return (
        infer_routes(inference),
        predict_routes(engine, prediction),
        health_routes(engine),
        statistics_routes(engine),
        model_routes(engine),
        repository_routes(engine),
        alias_routes(engine),
        log_settings_routes(passing, colleagues),
        trace_routes(engine),
        shared_memory_routes(),
        metrics_routes(colleagues),
        docs_routes(TITLE),
    )
