"""gRPC's own health service: whether the server, or one of its models, can answer.

Source: https://github.com/grpc/grpc/blob/master/doc/health-checking.md
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from serve.engine.engine import Engine
from serve.engine.errors import EngineError, UnknownModelError, quote
from serve.grpc.messages import PROTOCOL, Message, message_class

HEALTH = "grpc.health.v1.Health"
HealthCheckRequest = message_class("grpc.health.v1.HealthCheckRequest")
HealthCheckResponse = message_class("grpc.health.v1.HealthCheckResponse")
CHECK_SECONDS = 1.0

SERVING = HealthCheckResponse(status="SERVING")
NOT_SERVING = HealthCheckResponse(status="NOT_SERVING")
SERVICE_UNKNOWN = HealthCheckResponse(status="SERVICE_UNKNOWN")


def check_health(engine: Engine, request: Message) -> Message:
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


async def watch_health(engine: Engine, request: Message, ending: asyncio.Event) -> AsyncIterator[Message]:
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
