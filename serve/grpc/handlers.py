"""From a call's bytes to a verb and back: what gRPC is given to call."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc

from serve.access.audit import AuditLog
from serve.access.gate import Gate
from serve.engine.engine import Engine
from serve.engine.errors import EngineError, UnsupportedError
from serve.grpc.access import admit, right_for, sender_of
from serve.grpc.errors import number_of, refuse
from serve.grpc.health import PROTOCOL, check, watch
from serve.grpc.infer import Inference
from serve.grpc.logged import CallLog, Context, Streaming, Unary
from serve.grpc.parse import parse
from serve.grpc.traced import INFER, traced
from serve.grpc.verbs import Verb, stream_infer, verbs
from serve.grpc.wire import Message, message_class, service
from serve.rest.observed import Watchers
from serve.workers.colleagues import Colleagues

HEALTH = "grpc.health.v1.Health"
LONGEST_NAME = 512
STREAM, CHECK = f"/{PROTOCOL}/ModelStreamInfer", f"/{HEALTH}/Check"


@dataclass(frozen=True, slots=True)
class Entrance:
    """What every call passes, where those that administer are written down, and who is told of all."""

    gate: Gate
    audit: AuditLog
    watchers: Watchers = field(default_factory=Watchers)


class Handlers:
    """The protocol's verbs and the health service, by the path of the call."""

    def __init__(self, engine: Engine, entrance: Entrance, colleagues: Colleagues) -> None:
        """Answer for this engine."""
        inference = Inference(engine)
        protocol, health = service(PROTOCOL).methods_by_name, service(HEALTH).methods_by_name

        async def check_health(asked: Message, left_seconds: float | None) -> Message:
            return check(engine, asked.service)

        calls = CallLog(entrance.watchers.log, entrance.gate)

        def unary(path: str, verb: Verb, asked_type: Any) -> Any:
            return _unary(calls.unary(path, _answering(verb, asked_type, entrance)))

        found = {
            path: unary(path, verb, protocol[name].input_type)
            for name, verb in verbs(engine, inference, colleagues).items()
            for path in (f"/{PROTOCOL}/{name}",)
        }
        streaming = _streaming(inference, protocol["ModelStreamInfer"].input_type, entrance.gate)
        found[STREAM] = grpc.stream_stream_rpc_method_handler(calls.streaming(STREAM, streaming))
        found[CHECK] = unary(CHECK, check_health, health["Check"].input_type)
        found[f"/{HEALTH}/Watch"] = grpc.unary_stream_rpc_method_handler(
            _watching(engine, health["Watch"].input_type)
        )
        self._found = found
        self._absent = _unary(_not_here)

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        """What answers the call; None for a service that is not here."""
        found = self._found.get(details.method)
        if found is None and details.method.startswith(f"/{PROTOCOL}/"):
            return self._absent
        return found


def _unary(answer: Unary) -> Any:
    return grpc.unary_unary_rpc_method_handler(answer)


def _answering(verb: Verb, asked_type: Any, entrance: Entrance) -> Unary:
    name = asked_type.name.removesuffix("Request")
    kind = message_class(asked_type.full_name)

    async def answer(data: bytes, context: Context) -> bytes:
        try:
            message = parse(kind, data)
            right = right_for(name, message)
            answered = verb
            if right == "admin":
                answered = _administering(verb, name, entrance, context)
            else:
                admit(entrance.gate, right, context)
            if name == INFER and entrance.watchers.telemetry is not None:
                answered = traced(verb, entrance.watchers.telemetry, context)
            reply = await answered(message, context.time_remaining())
            written: bytes = reply.SerializeToString()
        except Exception as error:  # noqa: BLE001  an outermost door: whatever it is, the client gets an answer
            await refuse(context, error)
        return written

    return answer


def _administering(verb: Verb, name: str, entrance: Entrance, context: Context) -> Verb:
    """The verb for those who may, and a line about whoever asked in the audit log."""

    async def answer(asked: Message, left_seconds: float | None) -> Message:
        error: BaseException | None = None
        try:
            admit(entrance.gate, "admin", context)
            return await verb(asked, left_seconds)
        except BaseException as raised:
            error = raised
            raise
        finally:
            caller = entrance.gate.named(*sender_of(context)).name
            action = f"gRPC {name} {getattr(asked, 'model_name', '')[:LONGEST_NAME]}".strip()
            entrance.audit.record(caller, action, number_of(error), "")

    return answer


def _streaming(inference: Inference, asked_type: Any, gate: Gate) -> Streaming:
    kind = message_class(asked_type.full_name)

    async def stream(coming: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        async def messages() -> AsyncIterator[Message]:
            async for data in coming:
                admit(gate, "infer", context)  # each message counts as a request
                yield parse(kind, data)

        try:
            async for reply in stream_infer(inference, messages(), context.time_remaining):
                yield reply.SerializeToString()
        except Exception as error:  # noqa: BLE001  an outermost door
            await refuse(context, error)

    return stream


def _watching(engine: Engine, asked_type: Any) -> Any:
    kind = message_class(asked_type.full_name)

    async def stream(data: bytes, context: Context) -> AsyncIterator[bytes]:
        try:
            asked = parse(kind, data)
        except EngineError as error:
            await refuse(context, error)
        async for found in watch(engine, asked.service):
            yield found.SerializeToString()

    return stream


async def _not_here(data: bytes, context: Context) -> bytes:
    await refuse(
        context, UnsupportedError("this server does not have this verb; send tensors in the messages")
    )
