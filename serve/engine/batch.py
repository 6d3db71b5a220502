"""Queued requests, batches of them, and the results of running a batch."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import TypeAlias

import onnxruntime as ort

from serve.engine.errors import EngineError, RunFailedError
from serve.engine.joining import join_requests, split_rows
from serve.engine.loop_calls import LoopCalls, PlainLoopCalls
from serve.engine.model import ServedModel
from serve.engine.providers import make_run_options
from serve.engine.signature import Array

log = logging.getLogger("adaptact")

JoinKey: TypeAlias = tuple[tuple[tuple[int, ...], ...], tuple[str, ...], int]
"""What joined requests share: the inputs' sizes beside the rows, the outputs, and the event loop."""


@dataclass(eq=False, slots=True)
class QueuedRequest:
    """Checked inputs, and the future of their outputs."""

    model: ServedModel
    inputs: Mapping[str, Array]
    outputs: tuple[str, ...]
    rows: int
    future: asyncio.Future[list[Array]]
    arrived: float
    """By `perf_counter`."""
    loop_calls: LoopCalls | PlainLoopCalls
    """Those of the future's event loop."""
    join_key: JoinKey | None = None
    """None where it runs alone."""
    seconds: float = 0.0
    """How long it should run, where joined its share."""
    expected: float = 0.0
    """How long what waited before it should run."""
    is_abandoned: bool = False
    """Whether nobody waits for the outputs any more."""
    batch: "Batch | None" = None
    """The batch it runs in; None while it waits."""

    def fail(self, error: EngineError) -> None:
        """Answer it with the error, unless it has an answer; on its event loop."""
        if not self.future.done():
            self.future.set_exception(error)


@dataclass(eq=False, slots=True)
class Batch:
    """Requests that run at once: one, or several with the same key."""

    model: ServedModel
    requests: Sequence[QueuedRequest]
    options: ort.RunOptions = field(default_factory=make_run_options)
    started: float = field(default_factory=perf_counter)
    has_place: bool = True
    """Whether its thread is one of those that run at once, and not replaced by another."""
    is_late: bool = False
    """Whether its time was over."""
    is_stuck: bool = False
    """Whether it does not end although it was told to."""

    def stop(self, error: EngineError | None = None) -> None:
        """Make the run fail at its next operator, and answer its requests with the error at once."""
        self.options.terminate = True
        for request in self.requests if error else ():
            request.is_abandoned = True
            request.loop_calls.call_soon(request.fail, error)


@dataclass(frozen=True, slots=True)
class RunResult:
    """One run: outputs or an error for each of its requests, and the seconds of each stage."""

    model: ServedModel
    requests: Sequence[QueuedRequest]
    answers: Sequence[list[Array] | EngineError]
    started: float
    """By `perf_counter`, as is `ended`."""
    ended: float
    joining: float = 0.0
    running: float = 0.0
    splitting: float = 0.0
    used: float = 0.0
    """The seconds of running by the model's clock."""

    @property
    def rows(self) -> int:
        """The rows of all requests together."""
        return sum(request.rows for request in self.requests)


def make_join_key(
    model: ServedModel, inputs: Mapping[str, Array], outputs: tuple[str, ...], loop: asyncio.AbstractEventLoop
) -> JoinKey | None:
    """The key that requests must share to be joined with these inputs; None if these run alone."""
    shapes = [inputs[spec.name].shape for spec in model.signature.inputs]
    rows = {shape[0] for shape in shapes}
    if len(rows) != 1 or not 0 < min(rows) < model.config.batch_rows:
        return None
    return tuple(shape[1:] for shape in shapes), outputs, id(loop)


def run_batch(batch: Batch) -> list[RunResult]:
    """The results: one run of all requests, or one run of each if the joint run fails."""
    try:
        if len(batch.requests) > 1:
            joined = _run_joined(batch)
            if joined is not None:
                return [joined]
        return [_run_alone(batch, request) for request in batch.requests]
    except Exception as error:
        log.error("%s failed while running", batch.model.label, exc_info=error)
        failed = RunFailedError(f"{batch.model.label} failed while running; the server's log says why")
        return [RunResult(batch.model, batch.requests, [failed] * len(batch.requests), 0.0, 0.0)]


def _run_joined(batch: Batch) -> RunResult | None:
    """The joint run; None if it fails or returns another number of rows, so each request must run alone."""
    started = perf_counter()
    inputs = join_requests([request.inputs for request in batch.requests])
    joined, used = perf_counter(), batch.model.clock()
    try:
        arrays = batch.model.run(inputs, batch.requests[0].outputs, batch.options)
    except EngineError:
        return None
    ran, used = perf_counter(), batch.model.clock() - used
    answers = split_rows(arrays, [request.rows for request in batch.requests])
    if answers is None:
        return None
    ended = perf_counter()
    stages = joined - started, ran - joined, ended - ran
    return RunResult(batch.model, batch.requests, answers, started, ended, *stages, used)


def _run_alone(batch: Batch, request: QueuedRequest) -> RunResult:
    started, used = perf_counter(), batch.model.clock()
    try:
        answer: list[Array] | EngineError = batch.model.run(request.inputs, request.outputs, batch.options)
    except EngineError as error:
        answer = error
    ended, used = perf_counter(), batch.model.clock() - used
    return RunResult(batch.model, [request], [answer], started, ended, running=ended - started, used=used)
