"""What each error means over gRPC: the only table of status codes."""

import logging
from asyncio import CancelledError
from typing import NoReturn

from grpc import StatusCode
from grpc.aio import ServicerContext

from serve.access.errors import AccessError, ClientLimitError, KeyRequiredError, RoleRequiredError
from serve.engine.errors import (
    AliasError,
    ConfigError,
    DeadlineExceededError,
    DrainingError,
    EngineError,
    InvalidInputError,
    MalformedRequestError,
    ModelRefusedError,
    ModelUnavailableError,
    NotExpressibleError,
    QueueFullError,
    RunFailedError,
    StartupError,
    UnknownModelError,
    UnsupportedError,
)
from serve.workers.channel import ChannelClosedError

log = logging.getLogger("adaptact")

CODE: dict[type[BaseException], StatusCode] = {
    CancelledError: StatusCode.CANCELLED,
    UnknownModelError: StatusCode.NOT_FOUND,
    ModelUnavailableError: StatusCode.UNAVAILABLE,
    QueueFullError: StatusCode.UNAVAILABLE,
    DrainingError: StatusCode.UNAVAILABLE,
    ChannelClosedError: StatusCode.UNAVAILABLE,
    DeadlineExceededError: StatusCode.DEADLINE_EXCEEDED,
    AliasError: StatusCode.INVALID_ARGUMENT,
    ConfigError: StatusCode.INVALID_ARGUMENT,
    ModelRefusedError: StatusCode.FAILED_PRECONDITION,
    InvalidInputError: StatusCode.INVALID_ARGUMENT,
    MalformedRequestError: StatusCode.INVALID_ARGUMENT,
    NotExpressibleError: StatusCode.INVALID_ARGUMENT,
    UnsupportedError: StatusCode.UNIMPLEMENTED,
    RunFailedError: StatusCode.INTERNAL,
    StartupError: StatusCode.UNAVAILABLE,
    KeyRequiredError: StatusCode.UNAUTHENTICATED,
    RoleRequiredError: StatusCode.PERMISSION_DENIED,
    ClientLimitError: StatusCode.RESOURCE_EXHAUSTED,
    AccessError: StatusCode.PERMISSION_DENIED,
}
UNEXPECTED = "something went wrong in the server; its log says what"
# Of gRPC's own: how long a client that repeats by its service's configuration is to wait first.
PUSHBACK = "grpc-retry-pushback-ms"


def code_of(error: BaseException) -> StatusCode:
    """The status code that answers this error: the nearest of its classes that has one, else `INTERNAL`."""
    for kind in type(error).__mro__:
        if kind in CODE:
            return CODE[kind]
    return StatusCode.INTERNAL


def number_of(error: BaseException | None) -> int:
    """The status code's number, which is below all those of HTTP; 0, `OK`, without an error."""
    number: int = (StatusCode.OK if error is None else code_of(error)).value[0]
    return number


def message_of(error: Exception) -> str:
    """What the client is told; of an error that nobody foresaw nothing but that, and the log has the rest."""
    if isinstance(error, EngineError):
        return str(error)
    log.error("unexpected error", exc_info=error)
    return UNEXPECTED


async def refuse(context: ServicerContext, error: Exception) -> NoReturn:
    """End the call with the error's status code and message."""
    trailing: tuple[tuple[str, str], ...] = ()
    if isinstance(error, QueueFullError | ClientLimitError):
        trailing = ((PUSHBACK, str(max(1, round(1000 * error.retry_after_seconds)))),)
    await context.abort(code_of(error), message_of(error), trailing)
    raise error  # never reached: `abort` raises what ends the call
