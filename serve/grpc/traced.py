"""Messages as spans: what a model was asked over gRPC, by OpenTelemetry's conventions.

Source: OpenTelemetry, Semantic conventions for gRPC, https://opentelemetry.io/docs/specs/semconv/rpc/grpc/
"""

from time import perf_counter
from typing import TYPE_CHECKING

from grpc import StatusCode

from serve.grpc.call import Call, Verb
from serve.grpc.errors import number_of
from serve.grpc.wire import PROTOCOL, Message

if TYPE_CHECKING:
    from serve.watch.telemetry import Telemetry

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


def traced(verb: Verb, name: str, telemetry: "Telemetry | None") -> Verb:
    """The inference verb of this name, and a span about each message; without telemetry the verb alone."""
    if telemetry is None:
        return verb
    fixed = {"rpc.system": "grpc", "rpc.service": PROTOCOL, "rpc.method": name}

    async def told(asked: Message, call: Call) -> Message:
        began = perf_counter()
        about: dict[str, str | int] = {**fixed}
        error: BaseException | None = None
        try:
            reply = await verb(asked, call)
            about |= {"adaptact.model": reply.model_name, "adaptact.version": reply.model_version}
            about["adaptact.rows"] = next(iter(asked.inputs[0].shape), 1) if asked.inputs else 1
            return reply
        except BaseException as raised:
            error = raised
            raise
        finally:
            number = about["rpc.grpc.status_code"] = number_of(error)
            spent = began, perf_counter()
            telemetry.span(f"{PROTOCOL}/{name}", call.headers, about, number in SERVERS, spent)

    return told
