"""Memory that several processes see, each through its own descriptor of the same bytes."""

import fcntl
import os
from mmap import mmap
from types import TracebackType

from serve.access.limits import MEMORY_BYTES, NUMBER_BYTES, ClientLimits


def create_count() -> int:
    """The descriptor of a `Count` that is 0."""
    return _create_memory("adaptact-count", NUMBER_BYTES)


def create_limits() -> int:
    """The descriptor of new limits, with no client."""
    return _create_memory("adaptact-limits", MEMORY_BYTES)


def open_limits(descriptor: int) -> ClientLimits:
    """The limits that all processes with this descriptor count together."""
    return ClientLimits(mmap(descriptor, MEMORY_BYTES), FileLock(descriptor))


class SharedCount:
    """A number that one process writes and others read."""

    def __init__(self, descriptor: int) -> None:
        """The descriptor may be closed after."""
        self._number = memoryview(mmap(descriptor, NUMBER_BYTES)).cast("Q")

    @property
    def value(self) -> int:
        """The current value."""
        return self._number[0]

    def increase(self) -> None:
        """Add one; only for the process that writes."""
        self._number[0] += 1


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
