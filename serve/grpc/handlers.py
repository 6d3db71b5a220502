"""The handlers that gRPC calls: from a call's bytes to a method of the service and back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

import grpc
import grpc.aio
from grpc_health.v1.health_pb2 import HealthCheckRequest

from serve.access.control import AccessControl
from serve.engine.engine import Engine
from serve.engine.errors import DrainingError, EngineError, UnsupportedError
from serve.grpc.calls import BytesMethod, Context, IncomingCall, Method, administer, admit, right_for
from serve.grpc.errors import refuse
from serve.grpc.health import HEALTH, check_health, watch_health
from serve.grpc.infer import InferMethod, InferStream, ModelInferRequest
from serve.grpc.messages import PROTOCOL, Message, find_service, message_class, parse_message
from serve.grpc.methods import make_methods
from serve.grpc.observing import log_calls, trace_calls
from serve.observe.observers import Observers
from serve.rejections import client_message
from serve.shared.worker_group import WorkerGroup

INFER, STREAM = "ModelInfer", "ModelStreamInfer"
StreamReply = message_class("inference.ModelStreamInferResponse")
Write: TypeAlias = Callable[[Message], bytes]


class MethodHandlers:
    """The handlers of the protocol's methods and of the health service, by the call's path."""

    def __init__(
        self,
        engine: Engine,
        access: AccessControl,
        observers: Observers,
        workers: WorkerGroup,
        largest_bytes: int,
    ) -> None:
        """`largest_bytes` is the limit of one message."""
        self._engine = engine
        self._access = access
        self._observers = observers
        self._ending = asyncio.Event()
        self._handlers = self._make_handlers(workers, largest_bytes)

    def end(self) -> None:
        """End the streams, once their messages so far are answered."""
        self._ending.set()

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        """The call's handler; None for a service that is not here."""
        handler = self._handlers.get(details.method)
        if handler is None and details.method.startswith(f"/{PROTOCOL}/"):
            return _handle_unary(self._log(_refuse_unknown, details.method))
        return handler

    def _make_handlers(self, workers: WorkerGroup, largest_bytes: int) -> dict[str, Any]:
        protocol = find_service(PROTOCOL).methods_by_name

        async def check(request: Message, call: IncomingCall) -> Message:
            return check_health(self._engine, request)

        methods = {
            f"/{PROTOCOL}/{name}": _make_method(
                method, message_class(protocol[name].input_type.full_name), self._access
            )
            for name, method in make_methods(self._engine, workers).items()
        }
        methods[f"/{HEALTH}/Check"] = _make_method(check, HealthCheckRequest, self._access)
        methods[f"/{PROTOCOL}/{INFER}"] = self._make_infer(INFER, _to_bytes)
        stream = f"/{PROTOCOL}/{STREAM}"
        infer_stream = self._log(self._make_infer(STREAM, _to_stream_bytes), stream)
        return {
            **{path: _handle_unary(self._log(method, path)) for path, method in methods.items()},
            stream: _handle_stream(infer_stream, self._ending, largest_bytes),
            f"/{HEALTH}/Watch": _handle_watch(self._engine, self._ending),
        }

    def _log(self, method: BytesMethod, path: str) -> BytesMethod:
        return log_calls(method, path, self._observers.log, self._access.authorizer)

    def _make_infer(self, name: str, write: Write) -> BytesMethod:
        infer = InferMethod(self._engine)
        method = trace_calls(infer.answer, name, self._observers.telemetry)
        authorizer = self._access.authorizer

        async def answer(data: bytes, call: IncomingCall) -> bytes:
            admit(authorizer, "infer", call)
            return write(await method(infer.read(data), call))

        return answer


def _make_method(method: Method, kind: Any, access: AccessControl) -> BytesMethod:
    """The method from bytes to bytes, for callers with its role; `kind` is the class of its requests."""
    name = kind.DESCRIPTOR.name.removesuffix("Request")

    async def answer(data: bytes, call: IncomingCall) -> bytes:
        request = parse_message(kind, data)
        right = right_for(name, request)
        if right == "admin":
            return _to_bytes(await administer(method, name, request, call, access))
        admit(access.authorizer, right, call)
        return _to_bytes(await method(request, call))

    return answer


def _handle_unary(method: BytesMethod) -> Any:
    async def handle(data: bytes, context: Context) -> bytes:
        try:
            return await method(data, IncomingCall(context))
        except Exception as error:  # noqa: BLE001  the outermost handler: any error is answered
            await refuse(context, error)

    return grpc.unary_unary_rpc_method_handler(handle)


def _handle_stream(method: BytesMethod, ending: asyncio.Event, largest_bytes: int) -> Any:
    async def handle(messages: AsyncIterator[bytes], context: Context) -> None:
        call, task = IncomingCall(context), asyncio.current_task()

        async def send(data: bytes) -> None:
            try:
                await context.write(data)
            except grpc.aio.InternalError:
                # The client has gone, for which gRPC mostly, but not always, cancels the call itself.
                assert task is not None
                task.cancel()

        async def answer(data: bytes) -> bytes:
            try:
                return await method(data, call)
            except Exception as error:  # noqa: BLE001  the other messages are answered all the same
                return _to_error_bytes(data, error)

        if not await InferStream(answer, send, largest_bytes).run(messages, ending):
            await refuse(context, DrainingError("the server is about to end, and takes no new requests"))

    return grpc.stream_stream_rpc_method_handler(handle)


def _handle_watch(engine: Engine, ending: asyncio.Event) -> Any:
    async def handle(data: bytes, context: Context) -> AsyncIterator[bytes]:
        try:
            request = parse_message(HealthCheckRequest, data)
        except EngineError as error:
            await refuse(context, error)
        async for status in watch_health(engine, request, ending):
            yield _to_bytes(status)

    return grpc.unary_stream_rpc_method_handler(handle)


async def _refuse_unknown(data: bytes, call: IncomingCall) -> bytes:
    raise UnsupportedError("this server does not have this verb; send tensors in the messages")


def _to_bytes(reply: Message) -> bytes:
    data: bytes = reply.SerializeToString()
    return data


def _to_stream_bytes(reply: Message) -> bytes:
    return _to_bytes(StreamReply(infer_response=reply))


def _to_error_bytes(data: bytes, error: Exception) -> bytes:
    """The answer to a stream's message that failed, with the message's id where it has one."""
    reply = StreamReply(error_message=client_message(error))
    try:
        reply.infer_response.id = parse_message(ModelInferRequest, data).id
    except EngineError:
        reply.infer_response.SetInParent()
    return _to_bytes(reply)
