"""`ModelInfer` and `ModelStreamInfer`: the hot path."""

import asyncio
from asyncio import CancelledError
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from time import perf_counter
from typing import Any, TypeAlias

from serve.engine.engine import Engine
from serve.engine.errors import EngineError
from serve.grpc.calls import Call
from serve.grpc.errors import OK, number_of
from serve.grpc.messages import Message, message_class, parse
from serve.grpc.tensors import read_infer, write_infer
from serve.rejections import count_rejection

Request = message_class("inference.ModelInferRequest")


class Inference:
    """Answers inference requests: read, call the engine, write."""

    def __init__(self, engine: Engine) -> None:
        """Answer for this engine."""
        self._engine = engine

    def read(self, data: bytes) -> Message:
        """The message; raises `MalformedRequestError` for bytes that are none, which count as a request."""
        try:
            return parse(Request, data)
        except EngineError as error:
            self._engine.metrics.unknown.count_request(number_of(error))
            raise

    async def answer(self, message: Message, call: Call) -> Message:
        """The answer to a `ModelInferRequest`; raises `EngineError`."""
        metrics = self._engine.metrics.unknown
        try:
            start = perf_counter()
            model = self._engine.model(message.model_name, message.model_version or None)
            metrics = model.metrics
            request = read_infer(message)
            read = perf_counter()
            outputs = await self._engine.run(
                model,
                request.inputs,
                tuple(request.outputs),
                timeout_seconds=_sooner(request.timeout_seconds, call.left_seconds),
            )
            ran = perf_counter()
            reply = write_infer(model.name, model.version, request, outputs, model.classes)
            metrics.input.observe(read - start)
            metrics.output.observe(perf_counter() - ran)
        except (Exception, CancelledError) as error:
            metrics.count_request(number_of(error))
            count_rejection(self._engine.metrics, error)
            raise
        metrics.count_request(OK)
        return reply


def _sooner(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)


Turn: TypeAlias = "tuple[asyncio.Task[bytes], int]"
"""A message under way, and how many places it takes."""
# With the usual 32 rows a batch: one runs, and the next one waits.
PLACES = 64


class Stream:
    """Reads on while others are answered, as long as there is room; whoever sends faster has to wait.

    A message takes one place, or as many as it is 64ths of the largest that may come, until its answer is
    sent: so those that are under way are together hardly larger than one may be.
    """

    def __init__(
        self,
        answer: Callable[[bytes], Coroutine[Any, Any, bytes]],
        send: Callable[[bytes], Awaitable[None]],
        largest_bytes: int,
    ) -> None:
        """`answer` has one for every message, whatever happens; `send` is asked for one after the other."""
        self._answer = answer
        self._send = send
        self._place_bytes = max(1, largest_bytes // PLACES)
        self._free = asyncio.Semaphore(PLACES)
        self._under_way: asyncio.Queue[Turn | None] = asyncio.Queue()

    async def run(self, coming: AsyncIterator[bytes], ending: asyncio.Event) -> bool:
        """Answer what comes, to the last or until the server ends; whether it was the last."""
        stop = asyncio.ensure_future(ending.wait())
        try:
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(self._read(coming, group))
                reading.add_done_callback(lambda _: self._under_way.put_nowait(None))
                stop.add_done_callback(lambda _: reading.cancel())
                group.create_task(self._write())
        finally:
            stop.cancel()
        return not reading.cancelled()

    async def _read(self, coming: AsyncIterator[bytes], group: asyncio.TaskGroup) -> None:
        async for data in coming:
            places = min(PLACES, 1 + len(data) // self._place_bytes)
            for _ in range(places):
                await self._free.acquire()
            self._under_way.put_nowait((group.create_task(self._answer(data)), places))

    async def _write(self) -> None:
        while (turn := await self._under_way.get()) is not None:
            answer, places = turn
            await self._send(await answer)
            for _ in range(places):
                self._free.release()
