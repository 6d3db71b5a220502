"""`GET /metrics`, and the counting of inference requests by what was answered."""

from types import TracebackType

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from serve.engine.engine import Engine
from serve.engine.errors import EngineError
from serve.rest.errors import status_of


class Counting:
    """Counts what is answered by model, version and status code, when the block ends.

    A model or version that is not served counts as unknown, since its name is the client's to choose.
    """

    def __init__(self, engine: Engine, name: str, version: str | None) -> None:
        """Count for this model."""
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
        elif isinstance(error, Exception):
            self._metrics.count_request(status_of(error))


def metrics_routes(engine: Engine) -> APIRouter:
    """The route that Prometheus reads."""
    router = APIRouter(tags=["health"])

    @router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """The server's counters, in Prometheus' text format."""
        return Response(generate_latest(engine.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return router
