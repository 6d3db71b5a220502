"""Memory that large runs took: kept for the next one while they come, given back afterwards."""

import threading
from collections.abc import Sequence
from time import monotonic, sleep
from weakref import WeakSet

from adaptact.memory import release_free_pages
from serve.engine.model import ServedModel
from serve.engine.signature import Array

LARGE_ELEMENTS = 2**20
QUIET_SECONDS = 2.0


class RunMemory:
    """Lets models give back the memory of large runs, once there have been none for QUIET_SECONDS.

    ONNX Runtime keeps what a run took, and so does the C library for each thread: 40 bodies of 61 MB left 700
    MB behind. Giving it back after each run would make large runs twice as long.
    """

    def __init__(self) -> None:
        """There have been no large runs."""
        self._models: WeakSet[ServedModel] = WeakSet()
        self._latest = 0.0
        self._lock = threading.Lock()
        self._is_waiting = False

    def note(self, model: ServedModel, elements: int, outputs: Sequence[Array]) -> None:
        """A run over so many elements has ended; only large ones count."""
        if elements < LARGE_ELEMENTS and sum(array.size for array in outputs) < LARGE_ELEMENTS:
            return
        with self._lock:
            self._models.add(model)
            self._latest = monotonic()
            if not self._is_waiting:
                self._is_waiting = True
                threading.Thread(target=self._wait, name="adaptact-memory", daemon=True).start()

    def _wait(self) -> None:
        while (left := self._latest + QUIET_SECONDS - monotonic()) > 0:
            sleep(left)
        with self._lock:
            models = list(self._models)
            self._models.clear()
            self._is_waiting = False
        for model in models:
            model.release_memory()
        release_free_pages()
