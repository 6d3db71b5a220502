"""From a call's bytes to a verb and back: what gRPC is given to call."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

import grpc
import grpc.aio

from serve.access.control import AccessControl
from serve.engine.engine import Engine
from serve.engine.errors import DrainingError, EngineError, UnsupportedError
from serve.grpc.calls import Answer, Call, Context, Verb, administer, admit, right_for
from serve.grpc.errors import refuse
from serve.grpc.health import check, watch
from serve.grpc.infer import Inference, Request, Stream
from serve.grpc.messages import HEALTH, PROTOCOL, Message, message_class, parse, service
from serve.grpc.observed import logged, traced
from serve.grpc.verbs import verbs
from serve.observe.observers import Observers
from serve.rejections import message_of
from serve.shared.worker_group import WorkerGroup

INFER, STREAM = "ModelInfer", "ModelStreamInfer"
StreamReply = message_class("inference.ModelStreamInferResponse")
Write: TypeAlias = Callable[[Message], bytes]


class Handlers:
    """The protocol's verbs and the health service, by the path of the call."""

    def __init__(
        self,
        engine: Engine,
        entrance: AccessControl,
        watchers: Observers,
        colleagues: WorkerGroup,
        largest_bytes: int,
    ) -> None:
        """Answer for this engine; no message is larger than that."""
        self._engine = engine
        self._entrance = entrance
        self._watchers = watchers
        self._ending = asyncio.Event()
        self._found = self._handlers(colleagues, largest_bytes)

    def end(self) -> None:
        """End the calls that last until the client has enough, once what was asked in them is answered."""
        self._ending.set()

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        """What answers the call; None for a service that is not here."""
        found = self._found.get(details.method)
        if found is None and details.method.startswith(f"/{PROTOCOL}/"):
            return _unary(self._logged(_not_here, details.method))
        return found

    def _handlers(self, colleagues: WorkerGroup, largest_bytes: int) -> dict[str, Any]:
        protocol, health = service(PROTOCOL).methods_by_name, service(HEALTH).methods_by_name

        async def check_health(asked: Message, call: Call) -> Message:
            return check(self._engine, asked.service)

        found = {
            f"/{PROTOCOL}/{name}": _answering(verb, protocol[name].input_type, self._entrance)
            for name, verb in verbs(self._engine, colleagues).items()
        }
        found[f"/{HEALTH}/Check"] = _answering(check_health, health["Check"].input_type, self._entrance)
        found[f"/{PROTOCOL}/{INFER}"] = self._inferring(INFER, _plain)
        stream, watching = f"/{PROTOCOL}/{STREAM}", f"/{HEALTH}/Watch"
        streaming = self._logged(self._inferring(STREAM, _in_stream), stream)
        return {
            **{path: _unary(self._logged(answer, path)) for path, answer in found.items()},
            stream: _streaming(streaming, self._ending, largest_bytes),
            watching: _watching(self._engine, health["Watch"].input_type, self._ending),
        }

    def _logged(self, answer: Answer, path: str) -> Answer:
        return logged(answer, path, self._watchers.log, self._entrance.authorizer)

    def _inferring(self, name: str, write: Write) -> Answer:
        inference = Inference(self._engine)
        verb = traced(inference.answer, name, self._watchers.telemetry)
        gate = self._entrance.authorizer

        async def answer(data: bytes, call: Call) -> bytes:
            admit(gate, "infer", call)
            return write(await verb(inference.read(data), call))

        return answer


def _plain(reply: Message) -> bytes:
    written: bytes = reply.SerializeToString()
    return written


def _in_stream(reply: Message) -> bytes:
    return _plain(StreamReply(infer_response=reply))


def _in_words(data: bytes, error: Exception) -> bytes:
    """The answer to a stream's message that failed, with the message's id where it has one."""
    failed = StreamReply(error_message=message_of(error))
    try:
        failed.infer_response.id = parse(Request, data).id
    except EngineError:
        failed.infer_response.SetInParent()
    return _plain(failed)


def _answering(verb: Verb, asked_type: Any, entrance: AccessControl) -> Answer:
    name = asked_type.name.removesuffix("Request")
    kind = message_class(asked_type.full_name)

    async def answer(data: bytes, call: Call) -> bytes:
        asked = parse(kind, data)
        right = right_for(name, asked)
        if right == "admin":
            return _plain(await administer(verb, name, asked, call, entrance))
        admit(entrance.authorizer, right, call)
        return _plain(await verb(asked, call))

    return answer


def _unary(answer: Answer) -> Any:
    async def door(data: bytes, context: Context) -> bytes:
        try:
            return await answer(data, Call(context))
        except Exception as error:  # noqa: BLE001  an outermost door: whatever it is, the client gets an answer
            await refuse(context, error)

    return grpc.unary_unary_rpc_method_handler(door)


def _streaming(answer: Answer, ending: asyncio.Event, largest_bytes: int) -> Any:
    async def door(coming: AsyncIterator[bytes], context: Context) -> None:
        call, whole = Call(context), asyncio.current_task()

        async def send(data: bytes) -> None:
            try:
                await context.write(data)
            except grpc.aio.InternalError:
                # Nobody is there any more, which gRPC mostly tells by cancelling the call itself.
                assert whole is not None
                whole.cancel()

        async def answered(data: bytes) -> bytes:
            try:
                return await answer(data, call)
            except Exception as error:  # noqa: BLE001  the other messages are answered all the same
                return _in_words(data, error)

        if not await Stream(answered, send, largest_bytes).run(coming, ending):
            await refuse(context, DrainingError("the server is about to end, and takes no new requests"))

    return grpc.stream_stream_rpc_method_handler(door)


def _watching(engine: Engine, asked_type: Any, ending: asyncio.Event) -> Any:
    kind = message_class(asked_type.full_name)

    async def door(data: bytes, context: Context) -> AsyncIterator[bytes]:
        try:
            asked = parse(kind, data)
        except EngineError as error:
            await refuse(context, error)
        async for found in watch(engine, asked.service, ending):
            yield _plain(found)

    return grpc.unary_stream_rpc_method_handler(door)


async def _not_here(data: bytes, call: Call) -> bytes:
    raise UnsupportedError("this server does not have this verb; send tensors in the messages")
