"""The access log's lines and the spans of gRPC messages."""

from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import TYPE_CHECKING, TypeAlias

from serve.access.control import Authorizer
from serve.grpc.calls import BytesMethod, IncomingCall
from serve.grpc.errors import number_of
from serve.grpc.framing import Buffer
from serve.grpc.infer_messages import InferAnswer, InferMessage
from serve.grpc.messages import PROTOCOL
from serve.grpc.status import StatusCode
from serve.observe.access_log import AccessLog
from serve.observe.observers import Attributes

if TYPE_CHECKING:
    from serve.observe.observers import Telemetry

METHOD = "gRPC"
InferAnswerer: TypeAlias = Callable[[InferMessage, IncomingCall], Awaitable[InferAnswer]]
TracedAnswerer: TypeAlias = Callable[[InferMessage, IncomingCall, Attributes], Awaitable[InferAnswer]]
"""The same, which puts what the span says of the model into the attributes."""
# OpenTelemetry's conventions count these as the server's errors.
SERVER_ERRORS = (
    StatusCode.UNKNOWN,
    StatusCode.DEADLINE_EXCEEDED,
    StatusCode.UNIMPLEMENTED,
    StatusCode.INTERNAL,
    StatusCode.UNAVAILABLE,
    StatusCode.DATA_LOSS,
)


def log_calls(method: BytesMethod, path: str, log: AccessLog | None, authorizer: Authorizer) -> BytesMethod:
    """The method, which also writes a line for each message; unchanged without a log."""
    if log is None:
        return method

    async def answer_and_log(data: Buffer, call: IncomingCall) -> bytes:
        began = perf_counter()
        error: BaseException | None = None
        try:
            return await method(data, call)
        except BaseException as raised:
            error = raised
            raise
        finally:
            caller = authorizer.identify(*call.find_sender(authorizer.proxies)).name
            log.record((METHOD, path), call.identity, caller, number_of(error), perf_counter() - began)

    return answer_and_log


def trace_calls(method: TracedAnswerer, name: str, telemetry: "Telemetry") -> InferAnswerer:
    """The inference method of this name, which also makes a span a message."""
    fixed = {"rpc.system": "grpc", "rpc.service": PROTOCOL, "rpc.method": name}

    async def answer_and_trace(given: InferMessage, call: IncomingCall) -> InferAnswer:
        began = perf_counter()
        attributes: Attributes = {**fixed}
        error: BaseException | None = None
        try:
            answer = await method(given, call, attributes)
            inputs = given.message.inputs
            attributes["adaptact.rows"] = next(iter(inputs[0].shape), 1) if inputs else 1
            return answer
        except BaseException as raised:
            error = raised
            raise
        finally:
            number = attributes["rpc.grpc.status_code"] = number_of(error)
            span = began, perf_counter()
            telemetry.span(f"{PROTOCOL}/{name}", call.headers, attributes, number in SERVER_ERRORS, span)

    return answer_and_trace
