"""Liveness and readiness of the server and of its models."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from serve.engine.catalogue import OnDemandEntry
from serve.engine.engine import Engine
from serve.engine.errors import ModelUnavailableError, quote
from serve.rest.schemas import ERRORS, ModelName, VersionName


class Live(BaseModel):
    """The server runs."""

    live: Literal[True] = True


class Ready(BaseModel):
    """Every model of the repository can answer."""

    ready: Literal[True] = True


class ModelReady(BaseModel):
    """One model can answer."""

    name: str
    ready: Literal[True] = True


def health_routes(engine: Engine) -> APIRouter:
    """The routes for load balancers and `docker`."""
    router = APIRouter(prefix="/v2", tags=["health"], responses=ERRORS)

    @router.get("/health/live")
    async def live() -> Live:
        """Answers as long as the server runs."""
        return Live()

    @router.get("/health/ready")
    async def ready() -> Ready:
        """Answers 200 if every model that should answer does; else 503, naming those that do not."""
        if not engine.ready:
            raise ModelUnavailableError(f"not ready: {_reasons(engine)}")
        return Ready()

    @router.get("/models/{model}/ready")
    async def model_ready(model: ModelName) -> ModelReady:
        """Answers 200 if the model has a version that is loaded."""
        return ModelReady(name=engine.model(model).name)

    @router.get("/models/{model}/versions/{version}/ready")
    async def version_ready(model: ModelName, version: VersionName) -> ModelReady:
        """Answers 200 if this version of the model is loaded."""
        return ModelReady(name=engine.model(model, version).name)

    return router


def _reasons(engine: Engine) -> str:
    failed = [
        f"{quote(entry.name)} version {quote(entry.version)}: {entry.reason or entry.state}"
        for entry in engine.index()
        if entry.state != "READY" and not isinstance(entry, OnDemandEntry)
    ]
    return "; ".join(failed) or "no model is loaded, or the server is about to end"
