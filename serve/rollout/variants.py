"""Runs of variants: each takes place in the engine and is counted, and is noted where it is kept."""

from collections.abc import Callable, Mapping, Sequence
from time import perf_counter, time_ns
from typing import NamedTuple, Protocol, TypeAlias

from serve.engine.engine import Engine
from serve.engine.errors import EngineError
from serve.engine.model import ServedModel
from serve.engine.signature import Array
from serve.experiments.routing import Target, Treatment
from serve.experiments.units import Unit
from serve.rollout.answers import AnswerSummary, choose_row, summarise_answers
from serve.rollout.measuring import ExperimentMetrics
from serve.rollout.recorder import LARGE_BYTES, Recorder, VariantRun

Outputs: TypeAlias = dict[str, Array]


class InputReader(Protocol):
    """What a request says, where each model reads it by its own description."""

    @property
    def size_bytes(self) -> int:
        """What it keeps in memory beside the inputs that were read."""

    async def read_inputs(self, model: ServedModel, *, is_mirrored: bool = False) -> Mapping[str, Array]:
        """The model's inputs; raises `EngineError`."""


class VariantRequest(NamedTuple):
    """What a variant is to answer, and for whom."""

    treatment: Treatment
    target: Target
    unit: Unit
    request_id: str
    inputs: Mapping[str, Array]
    outputs: Sequence[str] | None
    is_kept: bool = True
    """Whether what comes of it is noted, and not only counted."""
    is_shadow: bool = False
    reader: InputReader | None = None
    """What reads the inputs of another model than the one that has answered; None where all take the same."""


class VariantRuns:
    """The engine, as experiments use it."""

    def __init__(
        self,
        engine: Engine,
        recorder: Recorder,
        metrics: ExperimentMetrics,
        number_of: Callable[[Exception], int],
    ) -> None:
        """`number_of` gives the number, other than 0, by which an error is stored."""
        self._engine = engine
        self._recorder = recorder
        self._metrics = metrics
        self._number_of = number_of

    async def run(self, request: VariantRequest) -> None:
        """Let a variant run a mirrored request; raises like `Engine.model` and `Engine.run`.

        A run that is cancelled is neither counted nor noted, since nothing is known of the variant.
        """
        target, version = request.target, ""
        metrics = self._metrics.find(request.treatment.experiment, target.variant)
        start = perf_counter()
        try:
            model = self._engine.memory.require(target.model, target.version)
            version = model.version
            inputs = request.inputs
            if request.reader is not None:
                inputs = await request.reader.read_inputs(model, is_mirrored=True)
                start = perf_counter()
            answer = await self._engine.run(model, inputs, request.outputs)
        except EngineError as error:
            metrics.mirrored_failed += 1
            if request.is_kept:
                self.note(request, version, perf_counter() - start, None, error)
            raise
        metrics.mirrored += 1
        if request.is_kept:
            self.note(request, version, perf_counter() - start, answer)

    def note(
        self,
        request: VariantRequest,
        version: str,
        seconds: float,
        answer: Outputs | None,
        error: EngineError | None = None,
    ) -> None:
        """Note what came of the request, which has just taken so many seconds.

        It may have both an answer and an error, where no reply can hold the answer.
        """
        latency_us = int(1e6 * seconds)
        at = time_ns() // 1000 - latency_us
        about = request.treatment, request.target, version, request.unit, request.request_id
        status = 0 if error is None else self._number_of(error)
        kept = AnswerSummary() if answer is None else _keep(answer, request.request_id)
        self._recorder.note(VariantRun(*about, at, latency_us, status, kept, request.is_shadow))


def _keep(answer: Outputs, request_id: str) -> Sequence[Array] | AnswerSummary:
    """The answer until it is summed up; its summary if it is large."""
    arrays = tuple(answer.values())
    if sum(array.nbytes for array in arrays) > LARGE_BYTES:
        return summarise_answers([arrays], [choose_row(request_id)])[0]
    return arrays
