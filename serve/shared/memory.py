"""Memory that several processes see, each through its own descriptor of the same bytes."""

import fcntl
import os
from mmap import mmap
from types import TracebackType

from serve.access.limits import MEMORY_BYTES, NUMBER_BYTES, ClientLimits
from serve.shared.cores import CORES_BYTES, SharedCores

CLOSED, BEATS = 0, 1
COUNTS = 2


def create_counts() -> int:
    """The descriptor of `WorkerCounts` that are 0."""
    return _create_memory("adaptact-counts", COUNTS * NUMBER_BYTES)


def create_limits() -> int:
    """The descriptor of new limits, with no client, and of the cores that no worker uses."""
    return _create_memory("adaptact-limits", MEMORY_BYTES + CORES_BYTES)


def write_text(text: str) -> int:
    """The descriptor of memory with this text, to be read from its beginning."""
    descriptor = os.memfd_create("adaptact-text")
    with os.fdopen(descriptor, "w", closefd=False) as file:
        file.write(text)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def open_limits(descriptor: int) -> ClientLimits:
    """The limits that all processes with this descriptor count together."""
    return ClientLimits(mmap(descriptor, MEMORY_BYTES), FileLock(descriptor))


def open_cores(descriptor: int, cores: int) -> SharedCores:
    """This process's count among those of all processes with this descriptor, for so many cores."""
    memory = memoryview(mmap(descriptor, MEMORY_BYTES + CORES_BYTES))
    return SharedCores(memory[MEMORY_BYTES:], FileLock(descriptor), cores)


class WorkerCounts:
    """What a worker counts and its supervisor reads."""

    def __init__(self, descriptor: int) -> None:
        """The descriptor may be closed after."""
        self._numbers = memoryview(mmap(descriptor, COUNTS * NUMBER_BYTES)).cast("Q")

    @property
    def closed_connections(self) -> int:
        """The connections that the worker was sent and that are closed."""
        return self._numbers[CLOSED]

    @property
    def beats(self) -> int:
        """How often the worker's event loop has come round to counting this."""
        return self._numbers[BEATS]

    def count_closed(self) -> None:
        """A connection is closed; only for the worker."""
        self._numbers[CLOSED] += 1

    def beat(self) -> None:
        """The event loop runs; only for the worker."""
        self._numbers[BEATS] += 1


class FileLock:
    """A lock that one process holds at a time; the system releases that of a process that dies."""

    def __init__(self, descriptor: int) -> None:
        """The descriptor must stay open."""
        self._descriptor = descriptor

    def __enter__(self) -> None:
        """Wait for it."""
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release it."""
        fcntl.lockf(self._descriptor, fcntl.LOCK_UN)


def _create_memory(name: str, size: int) -> int:
    descriptor = os.memfd_create(name)
    os.ftruncate(descriptor, size)
    return descriptor
