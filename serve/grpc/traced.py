"""Calls as spans: what a model was asked over gRPC, by OpenTelemetry's conventions.

Source: OpenTelemetry, Semantic conventions for gRPC, https://opentelemetry.io/docs/specs/semconv/rpc/grpc/
"""

from time import perf_counter
from typing import TYPE_CHECKING

from grpc import StatusCode
from grpc.aio import ServicerContext

from serve.grpc.errors import number_of
from serve.grpc.health import PROTOCOL
from serve.grpc.verbs import Verb
from serve.grpc.wire import Message

if TYPE_CHECKING:
    from serve.rest.telemetry import Telemetry

INFER = "ModelInfer"
# Those that the conventions call the server's errors.
SERVERS: tuple[int, ...] = tuple(
    code.value[0]
    for code in (
        StatusCode.UNKNOWN,
        StatusCode.DEADLINE_EXCEEDED,
        StatusCode.UNIMPLEMENTED,
        StatusCode.INTERNAL,
        StatusCode.UNAVAILABLE,
        StatusCode.DATA_LOSS,
    )
)


def traced(verb: Verb, telemetry: "Telemetry", context: "ServicerContext[bytes, bytes]") -> Verb:
    """`ModelInfer`, and a span about the call."""

    async def answer(asked: Message, left_seconds: float | None) -> Message:
        began = perf_counter()
        about: dict[str, str | int] = {
            "rpc.system": "grpc",
            "rpc.service": PROTOCOL,
            "rpc.method": INFER,
        }
        error: BaseException | None = None
        try:
            reply = await verb(asked, left_seconds)
            about |= {"adaptact.model": reply.model_name, "adaptact.version": reply.model_version}
            about["adaptact.rows"] = next(iter(asked.inputs[0].shape), 1) if asked.inputs else 1
            return reply
        except BaseException as raised:
            error = raised
            raise
        finally:
            number = about["rpc.grpc.status_code"] = number_of(error)
            carried = {
                name: value for name, value in context.invocation_metadata() or () if isinstance(value, str)
            }
            spent = began, perf_counter()
            telemetry.span(f"{PROTOCOL}/{INFER}", carried, about, number in SERVERS, spent)

    return answer
