"""A request that waits for its turn, those that are run together, and what becomes of them."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import TypeAlias

import onnxruntime as ort

from serve.engine.errors import EngineError, RunFailedError
from serve.engine.joining import join, part
from serve.engine.model import ServedModel
from serve.engine.providers import run_options
from serve.engine.signature import Array

log = logging.getLogger("adaptact")

# What requests must share to be joined: the sizes beside the rows, the outputs, and who waits for them.
Kind: TypeAlias = tuple[tuple[tuple[int, ...], ...], tuple[str, ...], int]


@dataclass(eq=False, slots=True)
class Request:
    """Inputs that were checked, and the future that their answer is for."""

    model: ServedModel
    inputs: Mapping[str, Array]
    outputs: tuple[str, ...]
    rows: int
    future: asyncio.Future[list[Array]]
    arrived: float
    """By `perf_counter`."""
    kind: Kind | None = None
    """None where it runs alone."""
    gone: bool = False
    """Whether nobody waits for the answer any more."""
    batch: "Batch | None" = None
    """What it runs in; None while it waits."""


@dataclass(eq=False, slots=True)
class Batch:
    """Requests that run at once: one, or several of a kind."""

    model: ServedModel
    requests: Sequence[Request]
    options: ort.RunOptions = field(default_factory=run_options)

    def stop(self) -> None:
        """Make the run fail at its next operator."""
        self.options.terminate = True


def kind_of(
    model: ServedModel, inputs: Mapping[str, Array], outputs: tuple[str, ...], loop: asyncio.AbstractEventLoop
) -> Kind | None:
    """What others must share with these inputs to be joined; None where these run alone."""
    shapes = [inputs[spec.name].shape for spec in model.signature.inputs]
    rows = {shape[0] for shape in shapes}
    if len(rows) != 1 or not 0 < min(rows) < model.config.batch_rows:
        return None
    return tuple(shape[1:] for shape in shapes), outputs, id(loop)


@dataclass(frozen=True, slots=True)
class Ran:
    """One run: an answer or an error for each of its requests, and the seconds that each part took."""

    model: ServedModel
    requests: Sequence[Request]
    answers: Sequence[list[Array] | EngineError]
    started: float
    """By `perf_counter`, as is `ended`."""
    ended: float
    joining: float = 0.0
    running: float = 0.0
    parting: float = 0.0

    @property
    def rows(self) -> int:
        """The rows of all requests together."""
        return sum(request.rows for request in self.requests)


def run_batch(batch: Batch) -> list[Ran]:
    """What became of the requests: of one run for all, or where that fails, of one for each."""
    try:
        if len(batch.requests) > 1:
            joined = _run_joined(batch)
            if joined is not None:
                return [joined]
        return [_run_alone(batch, request) for request in batch.requests]
    except Exception as error:
        log.error("%s failed while running", batch.model.called, exc_info=error)
        failed = RunFailedError(f"{batch.model.called} failed while running; the server's log says why")
        return [Ran(batch.model, batch.requests, [failed] * len(batch.requests), 0.0, 0.0)]


def _run_joined(batch: Batch) -> Ran | None:
    """The one run; None where it fails, or does not give a row for a row: each must then run alone."""
    start = perf_counter()
    inputs = join([request.inputs for request in batch.requests])
    joined = perf_counter()
    try:
        arrays = batch.model.run(inputs, batch.requests[0].outputs, batch.options)
    except EngineError:
        return None
    ran = perf_counter()
    answers = part(arrays, [request.rows for request in batch.requests])
    if answers is None:
        return None
    ended = perf_counter()
    return Ran(batch.model, batch.requests, answers, start, ended, joined - start, ran - joined, ended - ran)


def _run_alone(batch: Batch, request: Request) -> Ran:
    start = perf_counter()
    try:
        answer: list[Array] | EngineError = batch.model.run(request.inputs, request.outputs, batch.options)
    except EngineError as error:
        answer = error
    ended = perf_counter()
    return Ran(batch.model, [request], [answer], start, ended, running=ended - start)
