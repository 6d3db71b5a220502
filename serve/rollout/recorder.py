"""What experiments note of requests, as the store keeps it.

A request only leaves what it has at hand in a queue. Units are hashed and answers summed up a quarter of a
second later, many at once and off the event loop.
"""

import logging
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from time import monotonic, time_ns
from typing import NamedTuple

from serve.engine.sampling import Sampler
from serve.engine.signature import Array
from serve.experiments.request_ids import RequestIds
from serve.experiments.routing import Target, Treatment
from serve.experiments.store.exposures import ExposureWriter
from serve.experiments.store.records import MAX_PAYLOAD, Arm, Inference
from serve.experiments.units import Unit, UnitKind
from serve.rollout.answers import AnswerSummary, choose_row, summarise_answers
from serve.rollout.packing import pack_arrays

log = logging.getLogger("adaptact")

INTERVAL_SECONDS = 0.25  # each time costs the event loop some switches of threads
MOST_WAITING = 20_000
"""Of one interval; what comes beyond is counted as lost."""
MOST_WAITING_ANSWERS = 50
"""With their inputs, of up to 1 MiB each."""
NO_COMPARISON = 0
"""That of the answers to units of an allow-list, which are not analysed."""
LARGE_BYTES = 2**16
"""Larger answers are summed up at once, since they would stay in memory until then."""


class VariantRun(NamedTuple):
    """One run of a variant for a unit."""

    treatment: Treatment
    target: Target
    version: str
    """The number of the version that ran; empty where the variant's model could not answer."""
    unit: Unit
    request_id: str
    at: int
    """Microseconds since 1970."""
    latency_us: int
    status: int
    """0 where it was answered, else the number of its error."""
    outputs: Sequence[Array] | AnswerSummary
    is_shadow: bool


class LoggedAnswer(NamedTuple):
    """What a request held, and what it was answered."""

    treatment: Treatment
    target: Target
    version: str
    unit_kind: UnitKind
    request_id: str
    at: int
    """Microseconds since 1970."""
    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]


class Recorder:
    """Notes runs of variants; `close` writes what is left. Safe to use from several threads."""

    def __init__(self, writer: ExposureWriter, ids: RequestIds, sampler: Sampler) -> None:
        """Units are stored as their hashes, which `ids` knows; the sampler is renewed at each interval."""
        self._writer = writer
        self._sampler = sampler
        self._ids = ids
        self._runs: deque[VariantRun] = deque()
        self._answers: deque[LoggedAnswer] = deque()
        self._exposures: deque[tuple[Treatment, Unit, int]] = deque()
        self._handles: dict[tuple[object, ...], int] = {}
        self._closed = threading.Event()
        self.lost = 0
        """Notes that found no room or could not be stored, as of the last interval."""
        self._refused = self._unlogged = 0
        self._thread = threading.Thread(target=self._work, name="adaptact-recorder", daemon=True)
        self._thread.start()

    def note(self, run: VariantRun) -> None:
        """Keep the run until it is written; neither waits nor raises."""
        if len(self._runs) >= MOST_WAITING:
            self._refused += 1
            return
        self._runs.append(run)

    def log(self, answer: LoggedAnswer) -> None:
        """Keep the answer with its inputs until it is written, unless it is too large; never waits."""
        size = sum(array.nbytes for array in (*answer.inputs.values(), *answer.outputs.values()))
        if len(self._answers) >= MOST_WAITING_ANSWERS or size > MAX_PAYLOAD:
            self._unlogged += 1
            return
        # A copy, since what is in shared memory is somebody else's after the reply.
        inputs = {name: array.copy() for name, array in answer.inputs.items()}
        self._answers.append(answer._replace(inputs=inputs))

    def expose(self, treatment: Treatment, unit: Unit) -> None:
        """The unit meets the variant now; neither waits nor raises. To say so again is harmless."""
        if len(self._exposures) >= MOST_WAITING:
            self._refused += 1
            return
        self._exposures.append((treatment, unit, time_ns() // 1000))

    def count_lost(self) -> int:
        """Records that found no room, or that could not be stored."""
        return self._count_lost_notes() + self._unlogged

    def _count_lost_notes(self) -> int:
        """Those among which exposures may be."""
        return self._refused + self._writer.counts().lost

    def close(self) -> None:
        """Write what is left."""
        self._closed.set()
        self._thread.join()
        self._writer.close()

    def _work(self) -> None:
        began = monotonic()
        while not self._closed.wait(INTERVAL_SECONDS):
            now = monotonic()
            self._sampler.renew(now - began)
            began = now
            self._write()
            self.lost = self._count_lost_notes()
        self._write()

    def _write(self) -> None:
        exposures = [self._exposures.popleft() for _ in range(len(self._exposures))]
        runs = [self._runs.popleft() for _ in range(len(self._runs))]
        answers = [self._answers.popleft() for _ in range(len(self._answers))]
        if not exposures and not runs and not answers:
            return
        try:
            self._write_exposures(exposures)
            self._write_runs(runs)
            self._write_answers(answers)
        except Exception:
            # The outermost frame of its thread, which must go on, whatever a model answers.
            count = len(exposures) + len(runs) + len(answers)
            self._refused += count
            log.exception("%d records of experiments could not be noted", count)

    def _write_exposures(self, exposures: Sequence[tuple[Treatment, Unit, int]]) -> None:
        for treatment, unit, at in exposures:
            handle = self._find_handle(treatment, treatment.answer, unit.kind, "")
            self._writer.note(handle, self._ids.hash_unit(unit.value), at)

    def _write_runs(self, runs: Sequence[VariantRun]) -> None:
        for run, summary in zip(runs, _summarise(runs), strict=True):
            handle = self._find_handle(run.treatment, run.target, run.unit.kind, run.version)
            about = run.request_id, run.at, run.latency_us, run.status
            has_nan, top1, confidence = summary
            inference = Inference(*about, has_nan, run.is_shadow, top1, confidence)
            self._writer.note_inference(handle, self._ids.hash_unit(run.unit.value), inference)

    def _write_answers(self, answers: Sequence[LoggedAnswer]) -> None:
        for answer in answers:
            handle = self._find_handle(answer.treatment, answer.target, answer.unit_kind, answer.version)
            arrays = pack_arrays(answer.inputs), pack_arrays(answer.outputs)
            self._writer.note_sample(handle, answer.request_id, answer.at, *arrays)

    def _find_handle(self, treatment: Treatment, target: Target, kind: UnitKind, version: str) -> int:
        """The store's number of the variant in this phase, looked up once."""
        key = treatment.experiment, treatment.phase, target, kind, version, treatment.is_forced
        handle = self._handles.get(key)
        if handle is None:
            comparison = NO_COMPARISON if treatment.is_forced else treatment.comparison
            phase = treatment.experiment, comparison, treatment.phase
            arm = Arm(*phase, target.variant, kind, target.model, version)
            handle = self._handles[key] = self._writer.handle(arm)
        return handle


def _summarise(runs: Sequence[VariantRun]) -> list[AnswerSummary]:
    """The summary of each run's answer."""
    summaries = [run.outputs if isinstance(run.outputs, AnswerSummary) else AnswerSummary() for run in runs]
    waiting = {
        place: run.outputs for place, run in enumerate(runs) if not isinstance(run.outputs, AnswerSummary)
    }
    rows = [choose_row(runs[place].request_id) for place in waiting]
    for place, summary in zip(waiting, summarise_answers(list(waiting.values()), rows), strict=True):
        summaries[place] = summary
    return summaries
