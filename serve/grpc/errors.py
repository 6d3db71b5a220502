"""The gRPC status code of each error."""

from asyncio import CancelledError
from typing import NoReturn

from grpc import StatusCode
from grpc.aio import ServicerContext

from serve.rejections import Fault, client_message, fault_of, retry_after_seconds

CODE: dict[Fault, StatusCode] = {
    "unknown": StatusCode.NOT_FOUND,
    "unavailable": StatusCode.UNAVAILABLE,
    "late": StatusCode.DEADLINE_EXCEEDED,
    "invalid": StatusCode.INVALID_ARGUMENT,
    "too_large": StatusCode.RESOURCE_EXHAUSTED,
    "refused": StatusCode.FAILED_PRECONDITION,
    "unsupported": StatusCode.UNIMPLEMENTED,
    "failed": StatusCode.INTERNAL,
    "key": StatusCode.UNAUTHENTICATED,
    "role": StatusCode.PERMISSION_DENIED,
    "too_often": StatusCode.RESOURCE_EXHAUSTED,
}
OK = 0
# gRPC's own trailer: how long a client that retries by its service's configuration waits first.
PUSHBACK = "grpc-retry-pushback-ms"


def code_of(error: BaseException) -> StatusCode:
    """The error's status code; `CANCELLED` where the client has gone."""
    return StatusCode.CANCELLED if isinstance(error, CancelledError) else CODE[fault_of(error)]


def number_of(error: BaseException | None) -> int:
    """The number of the error's status code, always below those of HTTP; 0, `OK`, without an error."""
    if error is None:
        return OK
    number: int = code_of(error).value[0]
    return number


async def refuse(context: "ServicerContext[bytes, bytes]", error: Exception) -> NoReturn:
    """End the call with the error's status code and message."""
    seconds = retry_after_seconds(error)
    trailing = () if seconds is None else ((PUSHBACK, str(max(1, round(1000 * seconds)))),)
    await context.abort(code_of(error), client_message(error), trailing)
    raise error  # never reached: `abort` raises what ends the call
