"""`GET /metrics`, and the protocol's statistics of each version."""

from dataclasses import asdict
from http import HTTPStatus
from types import TracebackType

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from serve.engine.engine import Engine
from serve.engine.errors import EngineError
from serve.engine.states import ModelStatistics
from serve.rejections import count_rejection
from serve.rest.connection import GONE
from serve.rest.errors import status_of
from serve.rest.schemas import ERRORS, ModelName, VersionName
from serve.shared.metrics import collect_metrics
from serve.shared.worker_group import WorkerGroup

CLIENT_CLOSED_REQUEST = 499
"""What logs write of a request that nobody waits for any more; nginx's number, which HTTP does not have."""


class Counting:
    """Counts what is answered by model, version and status code, when the block ends.

    A model or version that is not served counts as unknown, since its name is the client's to choose.
    """

    def __init__(self, engine: Engine, name: str, version: str | None) -> None:
        """Count for this model."""
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
        self._metrics.count_request(_code(error))
        count_rejection(self._all, error)


def _code(error: BaseException) -> int:
    """The status that answers the error; where nobody is there to be answered, that of a closed request."""
    if isinstance(error, ClientDisconnect):
        return CLIENT_CLOSED_REQUEST
    if isinstance(error, Exception):
        return status_of(error)
    return CLIENT_CLOSED_REQUEST if error.args == (GONE,) else HTTPStatus.SERVICE_UNAVAILABLE


def metrics_routes(colleagues: WorkerGroup) -> APIRouter:
    """The route that Prometheus reads."""
    router = APIRouter(tags=["health"], responses=ERRORS)

    @router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """The server's counters, in Prometheus' text format."""
        return Response(await collect_metrics(colleagues), media_type=CONTENT_TYPE_LATEST)

    return router


class Duration(BaseModel):
    """How often something was done, and the nanoseconds it took together."""

    count: int
    ns: int


class InferStatistics(BaseModel):
    """Requests that were answered, those that failed, and the stages of those answered."""

    success: Duration
    fail: Duration
    queue: Duration
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration
    cache_hit: Duration
    cache_miss: Duration


class BatchStatistics(BaseModel):
    """The runs of one number of rows."""

    batch_size: int
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration


class VersionStatistics(BaseModel):
    """What one version has done since the server started."""

    name: str
    version: str
    last_inference: int
    """Milliseconds since 1970; 0 for never."""
    inference_count: int
    """Rows."""
    execution_count: int
    """Runs."""
    inference_stats: InferStatistics
    batch_stats: list[BatchStatistics]


class Statistics(BaseModel):
    """Each version's statistics."""

    model_stats: list[VersionStatistics]


def statistics_routes(engine: Engine) -> APIRouter:
    """The routes of statistics; to be included before those of a model, which `stats` might be."""
    router = APIRouter(prefix="/v2/models", tags=["models"], responses=ERRORS)

    @router.get("/stats")
    async def all_statistics() -> Statistics:
        """What every version has done."""
        return _written(await engine.statistics())

    @router.get("/{model}/stats")
    async def model_statistics(model: ModelName) -> Statistics:
        """What each version of the model has done."""
        return _written(await engine.statistics(model))

    @router.get("/{model}/versions/{version}/stats")
    async def version_statistics(model: ModelName, version: VersionName) -> Statistics:
        """What this version has done."""
        return _written(await engine.statistics(model, version))

    return router


def _written(found: list[ModelStatistics]) -> Statistics:
    return Statistics(model_stats=[_version(each) for each in found])


def _version(found: ModelStatistics) -> VersionStatistics:
    told = asdict(found)
    stages = {name: told[name] for name in InferStatistics.model_fields}
    return VersionStatistics.model_validate(told | {"inference_stats": stages})
