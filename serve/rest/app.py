"""The web application: the door, the routers behind it, and error handlers."""

import logging
from functools import partial

from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp

from serve.access.entrance import Entrance
from serve.engine.engine import Engine
from serve.log_settings import log_filter
from serve.options import entrance_of
from serve.protocol.metadata import ServerMetadata
from serve.rejections import count_rejection
from serve.rest.absent import shared_memory_routes, trace_routes
from serve.rest.access import with_keys
from serve.rest.aliases import alias_routes
from serve.rest.docs import docs_routes
from serve.rest.door import Door
from serve.rest.errors import HANDLERS
from serve.rest.health import health_routes
from serve.rest.infer import Inference, infer_routes
from serve.rest.log_settings import log_settings_routes
from serve.rest.metrics import metrics_routes
from serve.rest.models import model_routes
from serve.rest.observed import Observed
from serve.rest.predict import Prediction, predict_routes
from serve.rest.repository import repository_routes
from serve.rest.statistics import statistics_routes
from serve.settings import Settings
from serve.watch.watchers import Watchers
from serve.workers.colleagues import Colleagues
from serve.workers.metrics import offer_metrics

TITLE = "adaptact"
NOBODY = Watchers()


def create_app(
    engine: Engine,
    settings: Settings,
    colleagues: Colleagues | None = None,
    entrance: Entrance | None = None,
    watchers: Watchers = NOBODY,
) -> ASGIApp:
    """The application that answers for this engine, alone or with colleagues.

    The entrance is shared with other doors; without one it is as the settings say. The watchers are told of
    each request.
    """
    colleagues = colleagues or Colleagues()
    offer_metrics(engine.metrics.registry, colleagues)
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
    entrance = entrance or entrance_of(settings)
    if entrance.gate.has_keys:
        described = app.openapi
        app.openapi = lambda: with_keys(described())  # type: ignore[method-assign]  # as FastAPI's manual says
    entrance.gate.on_refusal = partial(count_rejection, engine.metrics)
    door = Door(app, inference.answer, prediction.answer, entrance)
    return door if watchers == NOBODY else Observed(door, watchers)


def _routers(
    engine: Engine, inference: Inference, prediction: Prediction, colleagues: Colleagues
) -> tuple[APIRouter, ...]:
    passing = log_filter(logging.getLogger("adaptact"), colleagues)
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
