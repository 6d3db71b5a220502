"""Messages as lines of the access log and as spans."""

from time import perf_counter
from typing import TYPE_CHECKING

from grpc import StatusCode

from serve.access.control import Authorizer
from serve.grpc.calls import Answer, Call, Verb
from serve.grpc.errors import number_of
from serve.grpc.messages import PROTOCOL, Message
from serve.observe.access_log import AccessLog

if TYPE_CHECKING:
    from serve.observe.observers import Telemetry

METHOD = "gRPC"


def logged(answer: Answer, path: str, log: AccessLog | None, gate: Authorizer) -> Answer:
    """The answer, and a line about it; without a log the answer alone. The gate knows who calls."""
    if log is None:
        return answer

    async def told(data: bytes, call: Call) -> bytes:
        began = perf_counter()
        error: BaseException | None = None
        try:
            return await answer(data, call)
        except BaseException as raised:
            error = raised
            raise
        finally:
            caller = gate.identify(*call.sender).name
            log.record((METHOD, path), call.identity, caller, number_of(error), perf_counter() - began)

    return told


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
