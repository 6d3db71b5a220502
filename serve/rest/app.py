"""The web application: routers, error handlers, and the shortcut for inference."""

from fastapi import FastAPI
from starlette.types import ASGIApp

from serve.engine.engine import Engine
from serve.rest.docs import docs_routes
from serve.rest.errors import HANDLERS
from serve.rest.health import health_routes
from serve.rest.infer import Inference, Shortcut, infer_routes
from serve.rest.metrics import metrics_routes
from serve.rest.models import ServerMetadata, model_routes
from serve.rest.predict import predict_routes
from serve.settings import Settings

TITLE = "adaptact"


def create_app(engine: Engine, settings: Settings) -> ASGIApp:
    """The application that answers for this engine."""
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
    for router in (
        infer_routes(inference),
        predict_routes(engine, settings.body_limit_bytes),
        health_routes(engine),
        model_routes(engine),
        metrics_routes(engine),
        docs_routes(TITLE),
    ):
        app.include_router(router)
    return Shortcut(app, inference)
