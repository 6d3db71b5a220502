"""`GET /metrics`, and the protocol's statistics of each version."""

from http import HTTPStatus
from types import TracebackType

import orjson
from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from serve.engine.engine import Engine
from serve.engine.errors import EngineError
from serve.engine.statistics import VersionStatistics
from serve.rejections import count_rejection
from serve.rest.connection import CLIENT_GONE
from serve.rest.errors import status_of
from serve.rest.schemas import ERRORS, ModelName, VersionName
from serve.shared.metrics import collect_metrics
from serve.shared.worker_group import WorkerGroup

CLIENT_CLOSED_REQUEST = 499
"""The status of a request whose client went away, in logs and metrics; nginx's number, which HTTP lacks."""


class Statistics(BaseModel):
    """Each version's statistics."""

    model_stats: list[VersionStatistics]


class RequestCounter:
    """Counts the request by model, version and status code when the block ends.

    A model or version that is not served counts as unknown, since its name is the client's to choose. A class
    and not a generator: the hot path enters it once a request, measured at 0.3 microseconds against 0.9.
    """

    def __init__(self, engine: Engine, name: str, version: str | None) -> None:
        self._all = engine.metrics
        try:
            self._metrics = engine.model(name, version).metrics
        except EngineError:
            self._metrics = engine.metrics.unknown

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._metrics.count_request(200)
            return
        self._metrics.count_request(_code_for(error))
        count_rejection(self._all, error)


def metrics_routes(workers: WorkerGroup) -> APIRouter:
    """The route that Prometheus reads."""
    router = APIRouter(tags=["health"], responses=ERRORS)

    @router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """The server's counters, in Prometheus' text format."""
        return Response(await collect_metrics(workers), media_type=CONTENT_TYPE_LATEST)

    return router


def statistics_routes(engine: Engine) -> APIRouter:
    """The routes of statistics; to be included before those of a model, which `stats` might be."""
    router = APIRouter(prefix="/v2/models", tags=["models"], responses=ERRORS)

    @router.get("/stats", response_model=Statistics)
    async def all_statistics() -> Response:
        """What every version has done."""
        return _write_statistics(await engine.statistics())

    @router.get("/{model}/stats", response_model=Statistics)
    async def model_statistics(model: ModelName) -> Response:
        """What each version of the model has done."""
        return _write_statistics(await engine.statistics(model))

    @router.get("/{model}/versions/{version}/stats", response_model=Statistics)
    async def version_statistics(model: ModelName, version: VersionName) -> Response:
        """What this version has done."""
        return _write_statistics(await engine.statistics(model, version))

    return router


def _write_statistics(statistics: list[VersionStatistics]) -> Response:
    # Past the framework, which would check and convert each number of each version.
    return Response(orjson.dumps({"model_stats": statistics}), media_type="application/json")


def _code_for(error: BaseException) -> int:
    """The status that answers the error; CLIENT_CLOSED_REQUEST where the client went away."""
    if isinstance(error, ClientDisconnect):
        return CLIENT_CLOSED_REQUEST
    if isinstance(error, Exception):
        return status_of(error)
    return CLIENT_CLOSED_REQUEST if error.args == (CLIENT_GONE,) else HTTPStatus.SERVICE_UNAVAILABLE
