"""`ModelInfer` and `ModelStreamInfer`: the hot path."""

import asyncio
from asyncio import CancelledError
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeAlias

from serve.engine.engine import Engine
from serve.engine.errors import EngineError
from serve.experiments.units import UNIT_HEADER
from serve.grpc.calls import IncomingCall
from serve.grpc.errors import OK, number_of
from serve.grpc.framing import Buffer
from serve.grpc.infer_messages import InferAnswer, InferMessage, parse_infer, parse_parts, split_raw
from serve.grpc.messages import SHORT_BYTES
from serve.grpc.tensors import read_infer, takes_long_to_write, write_infer
from serve.observe.observers import Attributes
from serve.protocol.long_bodies import run_long
from serve.protocol.messages import InferRequest
from serve.protocol.replies import NO_PARAMETERS, NOT_PLACED, Answerer
from serve.rejections import count_rejection
from serve.shared.regions import MemoryRegions, Outputs, PlacedAnswer

if TYPE_CHECKING:
    from serve.rollout.trials import Trial, Trials

# With the default of 32 rows a batch: one runs, and the next one waits.
PLACES = 64

Pending: TypeAlias = "tuple[asyncio.Task[bytes], int]"
"""The task that answers a message, and how many places the message takes."""


class InferMethod:
    """Answers inference requests: read, call the engine, write."""

    def __init__(self, engine: Engine, regions: MemoryRegions, trials: "Trials | None" = None) -> None:
        self._engine = engine
        self._regions = regions
        self._trials = trials

    async def read(self, data: Buffer) -> InferMessage:
        """The message; raises `MalformedRequestError` for other bytes, which count as a request."""
        try:
            if len(data) <= SHORT_BYTES:
                return parse_infer(data)
            others, raw = split_raw(data)
            is_long = len(others) > SHORT_BYTES
            return await run_long(parse_parts, others, raw) if is_long else parse_parts(others, raw)
        except EngineError as error:
            self._engine.metrics.unknown.count_request(number_of(error))
            raise

    async def answer(
        self, given: InferMessage, call: IncomingCall, attributes: "Attributes | None" = None
    ) -> InferAnswer:
        """The answer to the message, whose span gets the `attributes`; raises `EngineError`."""
        metrics = self._engine.metrics.unknown
        try:
            start = perf_counter()
            name, version = given.message.model_name, given.message.model_version
            asked = name, version or None
            model = self._engine.memory.find(*asked) or await self._engine.memory.bring(*asked)
            metrics = model.metrics
            if attributes is not None:
                attributes |= {"adaptact.model": model.name, "adaptact.version": model.version}
            is_long = given.takes_long_to_read()
            request = await run_long(read_infer, given) if is_long else read_infer(given)
            read = perf_counter()
            trial = None
            if self._trials is not None and not version:
                trial = begin_trial(self._trials, call, name, request, attributes)
            run = partial(self._engine.run, model) if trial is None else trial.run
            request, outputs, placed = await self._run(request, call, run)
            ran = perf_counter()
            described, by = NO_PARAMETERS, model
            if trial is not None:
                described, by = trial.describe(), trial.model or model
            if attributes is not None:
                attributes |= {"adaptact.model": by.name, "adaptact.version": by.version}
            written = Answerer(model.name, by.version, by.classes, described), request, outputs, placed
            is_long = takes_long_to_write(outputs)
            reply = await run_long(write_infer, *written) if is_long else write_infer(*written)
            ended = perf_counter()
            metrics.count_answer(read - start, ended - ran, ended - start)
        except (Exception, CancelledError) as error:
            metrics.count_request(number_of(error))
            count_rejection(self._engine.metrics, error)
            raise
        metrics.count_request(OK)
        if trial is not None:
            call.trailers = trial.describe_in_headers()
            trial.finish(may_have_changed=bool(request.placed))
        return reply

    async def _run(
        self, request: InferRequest, call: IncomingCall, run: Callable[..., Awaitable[Outputs]]
    ) -> PlacedAnswer:
        run = partial(
            run,
            outputs=tuple(request.outputs),
            timeout_seconds=_earlier(request.timeout_seconds, call.left_seconds),
        )
        if request.has_placements:
            return await self._regions.run(request, run)
        return PlacedAnswer(request, await run(request.inputs), NOT_PLACED)


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


def begin_trial(
    trials: "Trials", call: IncomingCall, model: str, request: InferRequest, attributes: "Attributes | None"
) -> "Trial | None":
    """The trial of the message, which the attributes name; None if it is in no experiment."""
    participants = trials.routes.get(model)
    if participants is None:
        return None
    # Not under the call's id, which all messages of a stream share.
    trial = trials.begin(participants, call.headers.get(UNIT_HEADER), request.unit)
    if trial is not None and attributes is not None:
        attributes |= trial.describe_for_traces()
    return trial


def _earlier(first: float | None, second: float | None) -> float | None:
    if first is None or second is None:
        return first if second is None else second
    return min(first, second)
