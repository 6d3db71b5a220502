"""`ModelInfer` and `ModelStreamInfer`: the hot path."""

import asyncio
from asyncio import CancelledError
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from functools import partial
from time import perf_counter
from typing import Any, TypeAlias

from serve.engine.engine import Engine
from serve.engine.errors import EngineError
from serve.grpc.calls import IncomingCall
from serve.grpc.errors import OK, number_of
from serve.grpc.framing import Buffer
from serve.grpc.messages import Message, message_class, parse_message
from serve.grpc.tensors import read_infer, write_infer
from serve.protocol.replies import NOT_PLACED
from serve.rejections import count_rejection
from serve.shared.regions import MemoryRegions

# With the default of 32 rows a batch: one runs, and the next one waits.
PLACES = 64

ModelInferRequest = message_class("inference.ModelInferRequest")
Pending: TypeAlias = "tuple[asyncio.Task[bytes], int]"
"""The task that answers a message, and how many places the message takes."""


class InferMethod:
    """Answers inference requests: read, call the engine, write."""

    def __init__(self, engine: Engine, regions: MemoryRegions) -> None:
        self._engine = engine
        self._regions = regions

    def read(self, data: Buffer) -> Message:
        """The message; raises `MalformedRequestError` for other bytes, which count as a request."""
        try:
            return parse_message(ModelInferRequest, data)
        except EngineError as error:
            self._engine.metrics.unknown.count_request(number_of(error))
            raise

    async def answer(self, message: Message, call: IncomingCall) -> Message:
        """The answer to a `ModelInferRequest`; raises `EngineError`."""
        metrics = self._engine.metrics.unknown
        try:
            start = perf_counter()
            model = self._engine.model(message.model_name, message.model_version or None)
            metrics = model.metrics
            request = read_infer(message)
            read = perf_counter()
            run = partial(
                self._engine.run,
                model,
                outputs=tuple(request.outputs),
                timeout_seconds=_earlier(request.timeout_seconds, call.left_seconds),
            )
            placed = NOT_PLACED
            if request.has_placements:
                request, outputs, placed = await self._regions.run(request, run)
            else:
                outputs = await run(request.inputs)
            ran = perf_counter()
            reply = write_infer(model.name, model.version, request, outputs, model.classes, placed)
            metrics.input.observe(read - start)
            metrics.output.observe(perf_counter() - ran)
        except (Exception, CancelledError) as error:
            metrics.count_request(number_of(error))
            count_rejection(self._engine.metrics, error)
            raise
        metrics.count_request(OK)
        return reply


class InferStream:
    """Answers a stream's messages at the same time, in their order, within a number of places.

    A message takes a place for each 64th of the largest size, at least one, until its answer is sent;
    without a free place the next is not read. So the messages in progress are hardly larger than one may be.
    """

    def __init__(
        self,
        answer: Callable[[Buffer], Coroutine[Any, Any, bytes]],
        send: Callable[[bytes], Awaitable[None]],
        largest_bytes: int,
    ) -> None:
        """`answer` never raises; `send` is called for one answer after the other."""
        self._answer = answer
        self._send = send
        self._place_bytes = max(1, largest_bytes // PLACES)
        self._free = asyncio.Semaphore(PLACES)
        self._pending: asyncio.Queue[Pending | None] = asyncio.Queue()

    async def run(self, messages: AsyncIterator[Buffer], ending: asyncio.Event) -> bool:
        """Answer the messages until the last or the server's end; whether it was the last."""
        stop = asyncio.ensure_future(ending.wait())
        try:
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(self._read(messages, group))
                reading.add_done_callback(lambda _: self._pending.put_nowait(None))
                stop.add_done_callback(lambda _: reading.cancel())
                group.create_task(self._write())
        finally:
            stop.cancel()
        return not reading.cancelled()

    async def _read(self, messages: AsyncIterator[Buffer], group: asyncio.TaskGroup) -> None:
        async for data in messages:
            places = min(PLACES, 1 + len(data) // self._place_bytes)
            for _ in range(places):
                await self._free.acquire()
            self._pending.put_nowait((group.create_task(self._answer(data)), places))

    async def _write(self) -> None:
        while (pending := await self._pending.get()) is not None:
            answer, places = pending
            await self._send(await answer)
            for _ in range(places):
                self._free.release()


def _earlier(first: float | None, second: float | None) -> float | None:
    if first is None or second is None:
        return first if second is None else second
    return min(first, second)
