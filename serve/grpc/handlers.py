"""The protocol's methods and the health service by their paths, from bytes to bytes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from serve.access.control import AccessControl
from serve.engine.engine import Engine
from serve.engine.errors import DrainingError, EngineError, MalformedRequestError, UnsupportedError
from serve.grpc.calls import BytesMethod, IncomingCall, Method, administer, admit, read_head, right_for
from serve.grpc.framing import Buffer
from serve.grpc.health import HEALTH, HealthCheckRequest, check_health, watch_health
from serve.grpc.infer import InferMethod, InferStream
from serve.grpc.infer_messages import InferAnswer, StreamResponse, read_id
from serve.grpc.messages import PROTOCOL, Message, find_service, message_class, parse_message
from serve.grpc.methods import make_methods
from serve.grpc.observing import log_calls, trace_calls
from serve.grpc.streams import CallBudget, CallStream, StreamingCall, StreamMethod, UnaryCall, Write
from serve.http2.hpack import Header
from serve.http2.session import Http2Session
from serve.observe.observers import Observers
from serve.rejections import client_message
from serve.shared.regions import MemoryRegions
from serve.shared.worker_group import WorkerGroup

if TYPE_CHECKING:
    from serve.rollout.trials import Trials

INFER, STREAM = "ModelInfer", "ModelStreamInfer"
STREAM_PATH = f"/{PROTOCOL}/{STREAM}"
LONGEST_BYTES = 2**20
"""Of a request without tensors: it is parsed before the caller is known."""
WriteAnswer: TypeAlias = Callable[[InferAnswer], bytes]


class CallHandlers:
    """Opens each call for the method of its path."""

    def __init__(  # noqa: PLR0913, PLR0917  # the parts of a process
        self,
        engine: Engine,
        access: AccessControl,
        observers: Observers,
        workers: WorkerGroup,
        regions: MemoryRegions,
        budget: CallBudget,
        trials: "Trials | None",
    ) -> None:
        """The calls of all connections share `budget`."""
        self._engine = engine
        self._access = access
        self._observers = observers
        self._regions = regions
        self._budget = budget
        self._trials = trials
        self._ending = asyncio.Event()
        infer = self._log(self._make_infer(STREAM, InferAnswer.write_streamed), STREAM_PATH)
        self._streaming: dict[str, StreamMethod] = {
            STREAM_PATH: _make_stream(infer, self._ending, budget.message_bytes),
            f"/{HEALTH}/Watch": _make_watch(engine, self._ending),
        }
        self._unary = {path: self._log(method, path) for path, method in self._make_unary(workers).items()}

    def end(self) -> None:
        """End the streams, once their messages so far are answered."""
        self._ending.set()

    def open(self, session: Http2Session, number: int, headers: tuple[Header, ...]) -> CallStream:
        """The call of these headers."""
        head = read_head(headers)
        streaming = self._streaming.get(head.path)
        if streaming is not None:
            return StreamingCall(session, number, head, self._budget, streaming)
        method = self._unary.get(head.path) or self._log(_refuse_unknown, head.path)
        return UnaryCall(session, number, head, self._budget, method)

    def _make_unary(self, workers: WorkerGroup) -> dict[str, BytesMethod]:
        protocol = find_service(PROTOCOL).methods_by_name

        async def check(request: Message, call: IncomingCall) -> Message:
            return check_health(self._engine, request)

        methods = {
            f"/{PROTOCOL}/{name}": _make_method(
                method, message_class(protocol[name].input_type.full_name), self._access
            )
            for name, method in make_methods(self._engine, workers, self._regions).items()
        }
        methods[f"/{HEALTH}/Check"] = _make_method(check, HealthCheckRequest, self._access)
        methods[f"/{PROTOCOL}/{INFER}"] = self._make_infer(INFER, InferAnswer.write)
        return methods

    def _log(self, method: BytesMethod, path: str) -> BytesMethod:
        return log_calls(method, path, self._observers.log, self._access.authorizer)

    def _make_infer(self, name: str, write: WriteAnswer) -> BytesMethod:
        infer = InferMethod(self._engine, self._regions, self._trials)
        telemetry = self._observers.telemetry
        method = infer.answer if telemetry is None else trace_calls(infer.answer, name, telemetry)
        authorizer = self._access.authorizer

        async def answer(data: Buffer, call: IncomingCall) -> bytes:
            admit(authorizer, "infer", call)
            return write(await method(await infer.read(data), call))

        return answer


def _make_method(method: Method, kind: Any, access: AccessControl) -> BytesMethod:
    """The method from bytes to bytes, for callers with its role; `kind` is the class of its requests."""
    name = kind.DESCRIPTOR.name.removesuffix("Request")

    async def answer(data: Buffer, call: IncomingCall) -> bytes:
        if len(data) > LONGEST_BYTES:
            raise MalformedRequestError(f"the request has `{len(data)}` bytes, of at most `{LONGEST_BYTES}`")
        request = parse_message(kind, data)
        right = right_for(name, request)
        if right == "admin":
            return _to_bytes(await administer(method, name, request, call, access))
        admit(access.authorizer, right, call)
        return _to_bytes(await method(request, call))

    return answer


def _make_stream(infer: BytesMethod, ending: asyncio.Event, largest_bytes: int) -> StreamMethod:
    """Answers each message with one; raises `DrainingError` at the server's end."""

    async def answer_all(messages: AsyncIterator[Buffer], call: IncomingCall, write: Write) -> None:
        async def answer(data: Buffer) -> bytes:
            try:
                return await infer(data, call)
            except Exception as error:  # noqa: BLE001  the other messages are answered all the same
                return _to_error_bytes(data, error)

        if not await InferStream(answer, write, largest_bytes).run(messages, ending):
            raise DrainingError("the server is about to end, and takes no new requests")

    return answer_all


def _make_watch(engine: Engine, ending: asyncio.Event) -> StreamMethod:
    """Answers the first message with the status now and after each change; raises `EngineError`."""

    async def watch(messages: AsyncIterator[Buffer], call: IncomingCall, write: Write) -> None:
        async for data in messages:
            request = parse_message(HealthCheckRequest, data)
            async for status in watch_health(engine, request, ending):
                await write(_to_bytes(status))
            return

    return watch


async def _refuse_unknown(data: Buffer, call: IncomingCall) -> bytes:
    raise UnsupportedError(
        "this server does not have this verb; use system shared memory, or send tensors in the messages"
    )


def _to_bytes(reply: Message) -> bytes:
    data: bytes = reply.SerializeToString()
    return data


def _to_error_bytes(data: Buffer, error: Exception) -> bytes:
    """The answer to a stream's message that failed, with the message's id where it has one."""
    reply = StreamResponse(error_message=client_message(error))
    try:
        reply.infer_response.id = read_id(data)
    except EngineError:
        reply.infer_response.SetInParent()
    if isinstance(error, EngineError):
        for name, value in error.reply_parameters.items():
            reply.infer_response.parameters[name].string_param = value
    return _to_bytes(reply)
