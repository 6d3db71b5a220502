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
    """The descriptor of limits of clients none of which has asked yet."""
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
        """What it is now."""
        return self._number[0]

    def increase(self) -> None:
        """One more; for the process that writes it."""
        self._number[0] += 1


class FileLock:
    """What one process has at a time; the system takes it from one that dies."""

    def __init__(self, descriptor: int) -> None:
        """The descriptor stays open as long as this is used."""
        self._descriptor = descriptor

    def __enter__(self) -> None:
        """Wait for it."""
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the next have it."""
        fcntl.lockf(self._descriptor, fcntl.LOCK_UN)


def _create_memory(name: str, size: int) -> int:
    descriptor = os.memfd_create(name)
    os.ftruncate(descriptor, size)
    return descriptor
