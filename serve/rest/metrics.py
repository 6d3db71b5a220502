"""`GET /metrics`, and the counting of inference requests by what was answered."""

from http import HTTPStatus
from types import TracebackType

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import ClientDisconnect

from serve.engine.engine import Engine
from serve.engine.errors import EngineError
from serve.rejections import count_rejection
from serve.rest.connection import GONE
from serve.rest.errors import status_of
from serve.rest.schemas import ERRORS
from serve.workers.colleagues import Colleagues
from serve.workers.metrics import exposition

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


def metrics_routes(colleagues: Colleagues) -> APIRouter:
    """The route that Prometheus reads."""
    router = APIRouter(tags=["health"], responses=ERRORS)

    @router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """The server's counters, in Prometheus' text format."""
        return Response(await exposition(colleagues), media_type=CONTENT_TYPE_LATEST)

    return router
