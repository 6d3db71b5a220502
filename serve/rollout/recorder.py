"""What experiments note of requests, as the store keeps it.

A request only leaves what it has at hand in a queue. Units are hashed and answers summed up a tenth of a
second later, many at once and off the event loop.
"""

import logging
import threading
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from serve.engine.signature import Array
from serve.experiments.routing import Target, Treatment
from serve.experiments.store.exposures import ExposureWriter
from serve.experiments.store.records import Arm, Inference
from serve.experiments.units import Unit, hash_unit
from serve.rollout.answers import AnswerSummary, summarise_answers

log = logging.getLogger("adaptact")

INTERVAL_SECONDS = 0.1
MOST_WAITING = 20_000
"""Of one interval; what comes beyond is counted as lost."""
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


class Recorder:
    """Notes runs of variants; `close` writes what is left. Safe to use from several threads."""

    def __init__(self, writer: ExposureWriter, key: bytes) -> None:
        """Units are stored as their hashes under this key."""
        self._writer = writer
        self._key = key
        self._runs: deque[VariantRun] = deque()
        self._handles: dict[tuple[object, ...], int] = {}
        self._closed = threading.Event()
        self.lost = 0
        self._thread = threading.Thread(target=self._work, name="adaptact-recorder", daemon=True)
        self._thread.start()

    def note(self, run: VariantRun) -> None:
        """Keep the run until it is written; neither waits nor raises."""
        if len(self._runs) >= MOST_WAITING:
            self.lost += 1
            return
        self._runs.append(run)

    def close(self) -> None:
        """Write what is left."""
        self._closed.set()
        self._thread.join()
        self._writer.close()

    def _work(self) -> None:
        while not self._closed.wait(INTERVAL_SECONDS):
            self._write()
        self._write()

    def _write(self) -> None:
        runs = [self._runs.popleft() for _ in range(len(self._runs))]
        if not runs:
            return
        try:
            self._write_runs(runs)
        except Exception:
            # The outermost frame of its thread, which must go on, whatever a model answers.
            self.lost += len(runs)
            log.exception("%d runs of experiments could not be noted", len(runs))

    def _write_runs(self, runs: Sequence[VariantRun]) -> None:
        hashes = {value: hash_unit(self._key, value) for value in {run.unit.value for run in runs}}
        for run, summary in zip(runs, _summarise(runs), strict=True):
            unit, handle = hashes[run.unit.value], self._find_handle(run)
            if run.treatment.is_enrolled and not run.is_shadow:
                self._writer.note(handle, unit, run.at)
            about = run.request_id, run.at, run.latency_us, run.status
            has_nan, top1, confidence = summary
            inference = Inference(*about, has_nan, run.is_shadow, top1, confidence)
            self._writer.note_inference(handle, unit, inference)

    def _find_handle(self, run: VariantRun) -> int:
        """The store's number of the variant in this phase, looked up once."""
        treatment, target = run.treatment, run.target
        key = treatment.experiment, treatment.phase, target, run.unit.kind, run.version
        handle = self._handles.get(key)
        if handle is None:
            phase = treatment.experiment, treatment.comparison, treatment.phase
            arm = Arm(*phase, target.variant, run.unit.kind, target.model, run.version)
            handle = self._handles[key] = self._writer.handle(arm)
        return handle


def _summarise(runs: Sequence[VariantRun]) -> list[AnswerSummary]:
    """The summary of each run's answer."""
    summaries = [run.outputs if isinstance(run.outputs, AnswerSummary) else AnswerSummary() for run in runs]
    waiting = {
        place: run.outputs for place, run in enumerate(runs) if not isinstance(run.outputs, AnswerSummary)
    }
    for place, summary in zip(waiting, summarise_answers(list(waiting.values())), strict=True):
        summaries[place] = summary
    return summaries
