"""The runs that each worker has in progress, so that one may use the cores that the others leave idle.

All requests of a client that keeps one connection, as gRPC clients do, reach one worker. Its share of the
cores alone would be too little, and as many runs as there are cores in each worker would be too many.
"""

import os
from contextlib import AbstractContextManager

SLOTS = 512  # more than there can be workers, with those that are replaced
CORES_BYTES = 2 * 8 * SLOTS


class SharedCores:
    """One worker's count of its runs, and the sum of all."""

    def __init__(self, memory: memoryview, lock: AbstractContextManager[object], cores: int) -> None:
        """Take a slot of the memory, CORES_BYTES that are zeros at first, and free those of ended processes.

        `cores` is how many runs all workers together may have.
        """
        numbers = memory.cast("Q")
        self._owners, self._running = numbers[:SLOTS], numbers[SLOTS:]
        self._cores = cores
        with lock:
            for slot, owner in enumerate(self._owners.tolist()):
                if owner and not _is_alive(owner):
                    self._owners[slot] = self._running[slot] = 0
            self._slot = self._owners.tolist().index(0)
            self._owners[self._slot] = os.getpid()

    def publish(self, running: int) -> None:
        """This worker has so many runs in progress."""
        self._running[self._slot] = running

    def has_free(self) -> bool:
        """Whether all workers together have fewer runs than there are cores for."""
        return sum(self._running.tolist()) < self._cores


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError:
        return False
    return True
