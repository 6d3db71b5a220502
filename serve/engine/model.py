"""One version of one model, loaded and measured."""

import logging
import re
from collections.abc import Mapping, Sequence
from time import perf_counter

from serve.engine.cost import Cost
from serve.engine.errors import InvalidInputError, RunFailedError, quoted
from serve.engine.manifest import Json, class_names, read_manifest
from serve.engine.metrics import Metrics, ModelMetrics
from serve.engine.session import INPUT_ERROR, ORT_ERRORS, Session
from serve.engine.signature import Array, Signature, elements

log = logging.getLogger("adaptact")

WARM_UP_RUNS = 3
SLOW_SECONDS = 0.01  # certainly too long for the event loop: no need to measure again
LONG_SECONDS = 1.0  # what a run is taken to cost while nobody knows
STATUS_MESSAGE = re.compile(r"Status Message: ([^/\n]*)$")


class ServedModel:
    """A model that can run; `cost` tells whether a run is short."""

    def __init__(self, name: str, version: str, session: Session, metrics: Metrics) -> None:
        """Read the manifest, and time the model on zeros."""
        self.name = name
        self.version = version
        self.signature: Signature = session.signature
        self.manifest: dict[str, Json] | None = read_manifest(session.metadata)
        self.classes = class_names(self.manifest)
        self.metrics = ModelMetrics(metrics, name, version)
        self._session = session
        self.cost = Cost(self._warm_up())

    def run(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        """The named outputs; raises `InvalidInputError` for values it refuses, else `RunFailedError`."""
        try:
            return self._session.run(inputs, outputs)
        except INPUT_ERROR as error:
            raise InvalidInputError(f"{self._called} cannot run on these values{_reason(error)}") from error
        except ORT_ERRORS as error:
            log.error("%s failed while running: %s", self._called, error)
            raise RunFailedError(f"{self._called} failed while running; the server's log says why") from error

    def stop(self) -> None:
        """Make the runs in progress fail."""
        self._session.stop()

    @property
    def _called(self) -> str:
        return f"model {quoted(self.name)} version {quoted(self.version)}"

    def _warm_up(self) -> float:
        """Seconds that a run takes for each element of its input: the shortest of a few."""
        inputs = self.signature.zeros()
        outputs = self.signature.choose_outputs(None)
        seconds = []
        for _ in range(WARM_UP_RUNS):
            start = perf_counter()
            try:
                self._session.run(inputs, outputs)
            except ORT_ERRORS:
                # Not every model takes zeros, or sizes of 1; requests will tell what it costs.
                return LONG_SECONDS
            seconds.append(perf_counter() - start)
            if seconds[-1] > SLOW_SECONDS:
                break
        return min(seconds) / elements(inputs)


def _reason(error: Exception) -> str:
    """ONNX Runtime's own sentence, if it is about the values; never a path of its build machine."""
    found = STATUS_MESSAGE.search(str(error))
    return f": {found[1].strip()}" if found else ""
