"""gRPC's own health service: whether the server, or one of its models, can answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from serve.engine.engine import Engine
from serve.engine.errors import EngineError, UnknownModelError, quoted
from serve.grpc.messages import PROTOCOL, Message, message_class

LOOK_SECONDS = 1.0

Response = message_class("grpc.health.v1.HealthCheckResponse")
NOT_SERVING = Response(status="NOT_SERVING")


def check(engine: Engine, name: str) -> Message:
    """Whether it serves: all of it by no name or the protocol's, else a model; raises `UnknownModelError`."""
    if name in ("", PROTOCOL):
        return Response(status="SERVING") if engine.ready else NOT_SERVING
    try:
        engine.model(name)
    except UnknownModelError as error:
        raise UnknownModelError(f"there is no service and no model {quoted(name)}") from error
    except EngineError:
        return NOT_SERVING
    return Response(status="SERVING")


async def watch(engine: Engine, name: str, ending: asyncio.Event) -> AsyncIterator[Message]:
    """What `check` says, now and whenever it is another, until the server ends."""
    told = None
    while not ending.is_set():
        try:
            found = check(engine, name)
        except UnknownModelError:
            found = Response(status="SERVICE_UNKNOWN")
        if found != told:
            told = found
            yield found
        with suppress(TimeoutError):
            await asyncio.wait_for(ending.wait(), LOOK_SECONDS)
    if told != NOT_SERVING:
        yield NOT_SERVING
