"""The cores of a replica: no two replicas of a node have the same ones while there are enough."""

import fcntl
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class TakenCores:
    """Cores that are this process's until it ends; none where it may run on all of the node."""

    numbers: tuple[int, ...]
    locks: tuple[int, ...]
    """Descriptors of locked files, which the system gives back when the process ends."""

    def give_back(self) -> None:
        """Others may take them."""
        for lock in self.locks:
            os.close(lock)


def take_cores(count: int, folder: Path | None = None) -> TakenCores:
    """So many cores that no other process has taken, of those that this one may use.

    None if it needs all of them, or there are too few: then the system shares them out.
    """
    allowed = sorted(os.sched_getaffinity(0))
    if count >= len(allowed):
        return TakenCores((), ())
    folder = folder or Path(tempfile.gettempdir(), f"adaptact-cores-{os.getuid()}")
    taken: dict[int, int] = {}
    with suppress(OSError):  # the folder may be another user's: then the system shares them out
        folder.mkdir(mode=0o700, exist_ok=True)
        for core in allowed:
            lock = _try_lock(folder / str(core))
            if lock is not None:
                taken[core] = lock
            if len(taken) == count:
                return TakenCores(tuple(taken), tuple(taken.values()))
    TakenCores((), tuple(taken.values())).give_back()
    return TakenCores((), ())


def _try_lock(path: Path) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
