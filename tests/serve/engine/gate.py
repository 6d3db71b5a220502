"""A model whose runs wait until a test lets them go, and are recorded."""

import threading
from collections.abc import Mapping, Sequence

import onnxruntime as ort
import pytest

from serve.engine.joining import count_rows
from serve.engine.model import ServedModel
from serve.engine.run_cost import RunCost
from serve.engine.signature import Array

SECONDS = 120.0


class Gate:
    """Closed until `open`, which lets so many runs pass; every run is off the event loop."""

    def __init__(self, model: ServedModel, patch: pytest.MonkeyPatch, joins: bool = True) -> None:
        self.rows: list[int] = []
        self._passes = threading.Semaphore(0)
        self._entered = threading.Semaphore(0)
        self._run = model.run
        patch.setattr(model, "run", self._held)
        patch.setattr(model, "joins", joins)
        patch.setattr(model, "cost", RunCost(1.0))

    def open(self, runs: int = 1000) -> None:
        self._passes.release(runs)

    def wait_for_a_run(self) -> None:
        assert self._entered.acquire(timeout=SECONDS)

    def _held(
        self, inputs: Mapping[str, Array], outputs: Sequence[str], options: ort.RunOptions | None = None
    ) -> list[Array]:
        self.rows.append(count_rows(inputs))
        self._entered.release()
        assert self._passes.acquire(timeout=SECONDS)
        return self._run(inputs, outputs, options)
