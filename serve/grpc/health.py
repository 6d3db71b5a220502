"""gRPC's own health service: whether the server, or one of its models, can answer.

The messages are grpcio-health-checking's. Its servicer is not used: it answers statuses that were set before,
and here the engine is asked in each call.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from grpc_health.v1.health_pb2 import DESCRIPTOR, HealthCheckRequest, HealthCheckResponse

from serve.engine.engine import Engine
from serve.engine.errors import EngineError, UnknownModelError, quote
from serve.grpc.messages import PROTOCOL

HEALTH = DESCRIPTOR.services_by_name["Health"].full_name
CHECK_SECONDS = 1.0

SERVING = HealthCheckResponse(status="SERVING")
NOT_SERVING = HealthCheckResponse(status="NOT_SERVING")
SERVICE_UNKNOWN = HealthCheckResponse(status="SERVICE_UNKNOWN")


def check_health(engine: Engine, request: HealthCheckRequest) -> HealthCheckResponse:
    """The status of a model, or of the server for no name and for the protocol's.

    Raises `UnknownModelError`.
    """
    name = request.service
    if name in ("", PROTOCOL):
        return SERVING if engine.ready else NOT_SERVING
    try:
        engine.model(name)
    except UnknownModelError as error:
        raise UnknownModelError(f"there is no service and no model {quote(name)}") from error
    except EngineError:
        return NOT_SERVING
    return SERVING


async def watch_health(
    engine: Engine, request: HealthCheckRequest, ending: asyncio.Event
) -> AsyncIterator[HealthCheckResponse]:
    """The status now and after each change, until the server ends."""
    last = None
    while not ending.is_set():
        try:
            status = check_health(engine, request)
        except UnknownModelError:
            status = SERVICE_UNKNOWN
        if status != last:
            last = status
            yield status
        with suppress(TimeoutError):
            await asyncio.wait_for(ending.wait(), CHECK_SECONDS)
    if last != NOT_SERVING:
        yield NOT_SERVING
