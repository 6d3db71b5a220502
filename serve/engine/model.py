"""One version of one model: loaded, warmed up and measured."""

import logging
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from threading import TIMEOUT_MAX
from time import perf_counter, time

import onnxruntime as ort

from convert.manifest.providers import ProviderChoiceRecord
from serve.engine.config import ModelConfig
from serve.engine.description import ModelDescription
from serve.engine.errors import (
    InvalidInputError,
    ModelRefusedError,
    ModelUnavailableError,
    RunFailedError,
    quote,
)
from serve.engine.footprint import Footprint
from serve.engine.joining import MAX_SECONDS, has_rows, try_joining
from serve.engine.loading import Cancellation
from serve.engine.manifest import Json, read_baseline_entry, read_signer, read_strength
from serve.engine.memory.amounts import ModelMemory
from serve.engine.metrics import ModelMetrics
from serve.engine.processor_time import ProcessorTime
from serve.engine.run_cost import HOP_SECONDS, RunCost
from serve.engine.run_observer import RunObserver
from serve.engine.session import INPUT_ERROR, SESSION_ERRORS, Session
from serve.engine.signature import Array, Signature, count_elements

WARM_UP_RUNS = 3
SLOW_SECONDS = 0.01  # certainly too long for the event loop: no need to measure again
LONG_SECONDS = 1.0  # the assumed cost of a run that could not be measured
STATUS_MESSAGE = re.compile(r"Status Message: ([^/\n]*)$")
# A text that is no number: ONNX Runtime names the C++ function that could not read it.
UNREADABLE_TEXT = re.compile(r"while running Cast node\..* Status Message: sto[a-z]+$")

log = logging.getLogger("adaptact")


class ServedModel:
    """A loaded model; `cost` predicts whether a run is short, `joins` allows requests to share a run."""

    def __init__(
        self,
        name: str,
        version: str,
        session: Session,
        metrics: ModelMetrics,
        config: ModelConfig,
        cancellation: Cancellation | None = None,
    ) -> None:
        """Read the manifest, time the model on zeros, and try whether its requests can be joined.

        Raises `ModelRefusedError` if a run on zeros takes more than the configuration's `run_seconds`, and
        `ConfigError` if the configuration requires joining and that would change answers.
        """
        cancellation = cancellation or Cancellation()
        self.name, self.version = name, version
        self.digest = ""
        """SHA-256 of its files; empty where the options do not ask for it."""
        self.footprint: Footprint | None = None
        """The memory that it takes; None where that cannot be measured."""
        self.signature: Signature = session.signature
        self.manifest: dict[str, Json] | None = session.manifest
        self.description: ModelDescription = session.description
        self.classes = list(self.description.classes)
        self.parity = read_strength(self.manifest)
        self.signer = read_signer(session.metadata)
        self.baseline = read_baseline_entry(session.metadata, self.manifest)
        """What its tensors held on real data, as JSON; None where that is not known."""
        self.own_outputs = session.own_outputs
        self.provider, self.threads = session.provider, session.threads
        self.choice: ProviderChoiceRecord | None = None
        """How its provider was chosen, where it was measured."""
        self.memory = ModelMemory()
        """What it takes; nothing where no budget asks for it."""
        self.loaded_milliseconds = int(1000 * time())
        self.metrics = metrics
        self.config = _fit_rows(config, self.signature)
        self._session, self.file_bytes = session, session.file_bytes
        self.observer: RunObserver | None = None
        """Who looks at some of its runs."""
        self.processor_time = ProcessorTime()
        self.clock = perf_counter if session.pool else session.clock
        """It shows what a run takes whatever else the machine does, if one thread does all of it."""
        seconds = self._warm_up(cancellation)
        self._least_elements = count_elements(self.signature.zeros())
        measured = seconds / self._least_elements
        self.cost = RunCost(
            measured,
            measured if measured < LONG_SECONDS else 0.0,
            loop_seconds=HOP_SECONDS if session.sized_by_shapes else 0.0,
        )
        self.joins_few = False
        """Whether joined requests save hardly more than what the server does for each run."""
        self.joins = self._can_join(seconds, cancellation)
        self.processor_time = ProcessorTime(session.pool)

    def run(
        self,
        inputs: Mapping[str, Array],
        outputs: Sequence[str],
        options: ort.RunOptions | None = None,
    ) -> list[Array]:
        """The named outputs.

        Raises `InvalidInputError` for values that the model refuses, `ModelUnavailableError` where `options`
        ended the run, else `RunFailedError`.
        """
        began = self.processor_time.begin() if self.processor_time.wanted > 0 else None
        try:
            arrays = self._session.run(inputs, outputs, options)
        except INPUT_ERROR as error:
            raise InvalidInputError(f"{self.label} cannot run on these values{_reason(error)}") from error
        except SESSION_ERRORS as error:
            if options is not None and options.terminate:
                raise ModelUnavailableError(f"{self.label} was stopped while the request ran") from error
            if UNREADABLE_TEXT.search(str(error)):
                raise InvalidInputError(f"{self.label} cannot read a text as the number it needs") from error
            log.error("%s failed while running: %s", self.label, error)
            raise RunFailedError(f"{self.label} failed while running; the server's log says why") from error
        if began is not None:
            self.processor_time.end(began)
        return arrays

    def release_memory(self) -> None:
        """Give back what earlier runs took, by a run on zeros, unless that would take long."""
        zeros = self.signature.zeros()
        if self.cost.seconds_per_element * count_elements(zeros) < LONG_SECONDS:
            with suppress(*SESSION_ERRORS):
                self._session.run_and_release(zeros, self.signature.choose_outputs(None))

    @property
    def may_be_short(self) -> bool:
        """Whether a run on the smallest inputs would take place on the event loop."""
        return self.cost.is_short(self._least_elements)

    @property
    def label(self) -> str:
        """The model's name and version, for a message."""
        return f"model {quote(self.name)} version {quote(self.version)}"

    def _warm_up(self, cancellation: Cancellation) -> float:
        """The shortest time in seconds of a few runs on zeros."""
        inputs = self.signature.zeros()
        outputs = self.signature.choose_outputs(None)
        limit = self.config.run_seconds
        seconds = []
        with cancellation.limit_runs(limit) as options:
            for _ in range(WARM_UP_RUNS):
                start = perf_counter()
                try:
                    self._session.run(inputs, outputs, options)
                except SESSION_ERRORS as error:
                    if options.terminate:
                        raise ModelRefusedError(
                            f"a run on zeros took more than {limit:g} s, its `run_seconds`; "
                            "raise that if its runs need longer"
                        ) from error
                    # Not every model takes zeros, or sizes of 1; requests will show its cost.
                    return LONG_SECONDS * count_elements(inputs)
                seconds.append(perf_counter() - start)
                if seconds[-1] > SLOW_SECONDS:
                    break
        return min(seconds)

    def _can_join(self, seconds: float, cancellation: Cancellation) -> bool:
        if self.config.batching == "off" or self.config.batch_rows == 1 or not has_rows(self.signature):
            return False
        if self.signature.fit_rows(1) == 0:
            return self.config.batching == "on"  # no single row could be compared
        if self.config.batching == "auto" and seconds > MAX_SECONDS:
            return False  # the trial would take a dozen runs
        limit = self.config.run_seconds if self.config.batching == "auto" else TIMEOUT_MAX
        try:
            with cancellation.limit_runs(limit) as options:
                run = partial(self._session.run, options=options)
                rows, clock = self.config.batch_rows, self._session.clock
                trial = try_joining(run, self.signature, seconds, rows, clock)
        except SESSION_ERRORS:
            # The model does not take such numbers: without a trial, only the operator's `on` joins requests.
            return self.config.batching == "on"
        self.joins_few = self.config.batching == "auto" and not trial.pays
        return trial.allows(self.config.batching)


def _fit_rows(config: ModelConfig, signature: Signature) -> ModelConfig:
    """The configuration, with no more rows than the model takes at once."""
    return replace(
        config,
        batch_rows=max(signature.fit_rows(config.batch_rows), 1),
        request_rows=signature.fit_rows(config.request_rows) if config.request_rows else 0,
    )


def _reason(error: Exception) -> str:
    """ONNX Runtime's message if it concerns the values; never a path of its build machine."""
    match = STATUS_MESSAGE.search(str(error))
    return f": {match[1].strip()}" if match else ""
