"""The provider and the threads that a model is fastest with.

Each has to be as exact as parity asks, and is then timed on the whole model, with the forms of its own table.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import onnx_ir as ir

from adaptact.errors import AdaptactError, ProviderError, UnsuitableModelError
from adaptact.halving import Turn, find_fastest, time_turn
from adaptact.languages.catalogue import mark
from adaptact.providers.catalogue import (
    ProviderName,
    describe_target,
    find_provider,
    is_on_gpu,
    list_candidates,
    list_others,
)
from adaptact.providers.machine import list_versions
from adaptact.text import first_line
from convert.artefact.external import LARGEST, count_weight_bytes
from convert.artefact.file import serialise
from convert.errors import ParityError, UsageError
from convert.manifest.providers import (
    CANNOT_RUN,
    NO_OTHER,
    NO_ROOM,
    UNUSABLE,
    ProviderChoiceRecord,
    describe_result,
    record_candidate,
    round_timing,
)
from convert.model_io.inputs import InputSpec
from convert.model_io.runtime import Session
from convert.model_io.samples import make_example
from convert.tuning.tune import TuningOptions

SHARE, MOST_SHARE = 0.25, 0.5
"""Of the time for tuning, and where two are close; the rest is for the forms on what is chosen."""
MOST_WEIGHTS = 4 * LARGEST
"""The bytes of weights in all sessions that are timed: each has a copy."""
JUDGED_ON = mark("the samples of parity")


class ProviderMachine(Protocol):
    """A machine that graphs are timed on, by any provider."""

    def now(self) -> float:
        """Seconds on a clock that only goes forward."""

    def load(self, graph: ir.Model, provider: ProviderName, threads: int) -> Turn:
        """The graph, ready to take its turns. Raises ConversionError or ProviderError."""


class ProviderTarget:
    """ONNX Runtime on this machine, with at most so many threads, and with these batches."""

    def __init__(self, inputs: Sequence[InputSpec], options: TuningOptions) -> None:
        self._names = [spec.name for spec in inputs]
        self._feeds = [make_example(inputs, batch) for batch in options.batches]
        # All are timed by the same clock: by processor time only where one thread does all the work.
        is_alone = options.threads == 1 and not any(map(is_on_gpu, list_others()))
        self._processor = time.thread_time if is_alone else None

    def now(self) -> float:
        """Seconds since some moment."""
        return time.perf_counter()

    def load(self, graph: ir.Model, provider: ProviderName, threads: int) -> Turn:
        """A session of the graph that has run on each batch already."""
        find_provider(provider).require()
        session = Session(serialise(graph), self._names, provider, threads=threads)

        def turn() -> list[float]:
            runs = [partial(session.run_as_is, arrays) for arrays in self._feeds]
            return [time_turn(run, time.perf_counter, self._processor) for run in runs]

        turn()
        return turn


@dataclass(frozen=True, slots=True)
class ProviderTask:
    """A model, and how providers are tried on it."""

    build: Callable[[ProviderName], ir.Model]
    """The graph in the precision of the file, with the forms of the provider's table."""
    judge: Callable[[ProviderName], None]
    """Raises ConversionError or ProviderError unless the provider's answers pass parity."""
    machine: ProviderMachine
    on_progress: Callable[[str], None] = lambda detail: None


@dataclass(frozen=True, slots=True)
class _Loaded:
    provider: ProviderName
    threads: int
    turn: Turn | None
    reason: str = ""


def choose_provider(task: ProviderTask, options: TuningOptions) -> ProviderChoiceRecord:
    """The choice; the CPU provider with all threads where nothing is clearly faster and as exact."""
    loaded = _load_all(task, options.threads)
    timed = [each for each in loaded if each.turn is not None]
    start = task.machine.now()
    turns = [each.turn for each in timed if each.turn is not None]
    ends = (start + share * options.seconds for share in (SHARE, MOST_SHARE))
    result = find_fastest(turns, task.machine.now, *ends)
    chosen = timed[result.chosen]
    timings = dict(zip(map(id, timed), result.timings, strict=True))
    return ProviderChoiceRecord(
        provider=chosen.provider,
        threads=chosen.threads,
        processor=describe_target(),
        versions=list_versions(),
        batches=options.batches,
        seconds=round_timing(SHARE * options.seconds),
        spent=round_timing(task.machine.now() - start),
        judged_on=JUDGED_ON,
        candidates=tuple(
            record_candidate(
                each.provider, each.threads, timings.get(id(each)), each.reason, is_chosen=each is chosen
            )
            for each in loaded
        ),
        verdict=NO_OTHER if len(timed) == 1 else describe_result(result),
    )


def _load_all(task: ProviderTask, threads: int) -> list[_Loaded]:
    """Every candidate, the first one the CPU provider with all threads; a provider is judged once."""
    reasons: dict[ProviderName, str] = {"cpu": ""}
    graphs: dict[ProviderName, ir.Model] = {}
    loaded: list[_Loaded] = []
    weights = 0
    for provider, number in list_candidates(threads):
        if provider not in reasons:
            task.on_progress(f"the answers of {provider}")
            reasons[provider] = _find_fault(task, provider)
        if reasons[provider]:
            loaded.append(_Loaded(provider, number, None, reasons[provider]))
            continue
        task.on_progress(f"{provider} with {number} threads")
        try:
            if provider not in graphs:
                graphs[provider] = task.build(provider)
            weights += count_weight_bytes(graphs[provider])
            if len(loaded) > 1 and weights > MOST_WEIGHTS:
                loaded.append(_Loaded(provider, number, None, NO_ROOM))
                continue
            loaded.append(_Loaded(provider, number, task.machine.load(graphs[provider], provider, number)))
        except AdaptactError as error:
            if provider == "cpu" and not loaded:
                raise
            loaded.append(_Loaded(provider, number, None, _explain(error)))
    return loaded


def _find_fault(task: ProviderTask, provider: ProviderName) -> str:
    try:
        task.judge(provider)
    except AdaptactError as error:
        return _explain(error)
    return ""


def _explain(error: AdaptactError) -> str:
    """Why a provider is not timed; what it says of this machine stays out of the manifest."""
    if isinstance(error, ProviderError) and not isinstance(error, UnsuitableModelError):
        return UNUSABLE
    return first_line(error) if isinstance(error, ParityError | UsageError) else CANNOT_RUN
