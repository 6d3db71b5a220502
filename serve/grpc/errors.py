"""The gRPC status code of each error."""

from asyncio import CancelledError

from serve.engine.errors import EngineError, MalformedRequestError
from serve.grpc.status import StatusCode, write_trailers
from serve.rejections import Fault, client_message, fault_of, retry_after_seconds

CODE: dict[Fault, StatusCode] = {
    "unknown": StatusCode.NOT_FOUND,
    "unavailable": StatusCode.UNAVAILABLE,
    "late": StatusCode.DEADLINE_EXCEEDED,
    "invalid": StatusCode.INVALID_ARGUMENT,
    "conflict": StatusCode.FAILED_PRECONDITION,
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
PUSHBACK = b"grpc-retry-pushback-ms"


class CallRefusedError(MalformedRequestError):
    """The call is refused as a call, whatever it asks for."""

    def __init__(self, code: StatusCode, message: str) -> None:
        """Answered with this code."""
        super().__init__(message)
        self.code = code


def code_of(error: BaseException) -> StatusCode:
    """The error's status code; `CANCELLED` where the client has gone."""
    if isinstance(error, CallRefusedError):
        return error.code
    return StatusCode.CANCELLED if isinstance(error, CancelledError) else CODE[fault_of(error)]


def number_of(error: BaseException | None) -> int:
    """The number of the error's status code, always below those of HTTP; 0, `OK`, without an error."""
    if error is None:
        return OK
    return int(code_of(error))


def write_refusal(error: Exception) -> bytes:
    """The encoded headers that end a call with the error's status code and message."""
    seconds = retry_after_seconds(error)
    trailers = [] if seconds is None else [(PUSHBACK, b"%d" % max(1, round(1000 * seconds)))]
    if isinstance(error, EngineError):
        trailers += error.reply_headers
    return write_trailers(code_of(error), client_message(error), trailers)
