"""What each error is over gRPC: the only table of status codes."""

from asyncio import CancelledError
from typing import NoReturn

from grpc import StatusCode
from grpc.aio import ServicerContext

from serve.rejections import Fault, fault_of, message_of, retry_after_seconds

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
# Of gRPC's own: how long a client that repeats by its service's configuration is to wait first.
PUSHBACK = "grpc-retry-pushback-ms"


def code_of(error: BaseException) -> StatusCode:
    """The status code that answers this error; `CANCELLED` where nobody waits for an answer any more."""
    return StatusCode.CANCELLED if isinstance(error, CancelledError) else CODE[fault_of(error)]


def number_of(error: BaseException | None) -> int:
    """The status code's number, which is below all those of HTTP; 0, `OK`, without an error."""
    if error is None:
        return OK
    number: int = code_of(error).value[0]
    return number


async def refuse(context: "ServicerContext[bytes, bytes]", error: Exception) -> NoReturn:
    """End the call with the error's status code and message."""
    seconds = retry_after_seconds(error)
    trailing = () if seconds is None else ((PUSHBACK, str(max(1, round(1000 * seconds)))),)
    await context.abort(code_of(error), message_of(error), trailing)
    raise error  # never reached: `abort` raises what ends the call
