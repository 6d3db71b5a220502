"""How many workers a server has that is not told: as many as serve its models best on this machine."""

import os
from dataclasses import dataclass
from pathlib import Path

from adaptact.cores import available_cores
from adaptact.providers.catalogue import AUTO, find_provider
from serve.settings import MEBIBYTE, Settings

MOST_WORKERS = 4
"""Each takes memory, and more threads of a run are left for each with fewer workers."""
MOST_MODEL_MIB = 64
"""Larger models run for so long that one worker keeps every core busy, and each worker would hold them."""
MOST_FILES = 10_000


@dataclass(frozen=True, slots=True)
class WorkerCount:
    """The number of workers, and why, in words that follow it."""

    number: int
    reason: str = ""

    def __str__(self) -> str:
        workers = "1 worker" if self.number == 1 else f"{self.number} workers"
        return f"{workers}, {self.reason}" if self.reason else workers


def count_workers(settings: Settings) -> WorkerCount:
    """The settings' number, else one per core; one where more would cost much and gain little."""
    if settings.workers:
        return WorkerCount(settings.workers)
    if settings.provider != AUTO and find_provider(settings.provider).on_gpu:
        return WorkerCount(1, f"since all would share the {settings.provider} device")
    if not _are_small(settings.models):
        return WorkerCount(1, f"since the models have more than {MOST_MODEL_MIB} MiB")
    cores = available_cores()
    if cores > MOST_WORKERS:
        return WorkerCount(MOST_WORKERS, f"the most for {cores} cores")
    return WorkerCount(cores, "one per core")


def _are_small(folder: Path) -> bool:
    """Whether all files together have at most MOST_MODEL_MIB; a folder with very many counts as large."""
    left, files = MOST_MODEL_MIB * MEBIBYTE, 0
    for parent, _, names in os.walk(folder):
        for name in names:
            files += 1
            try:
                left -= os.stat(os.path.join(parent, name)).st_size
            except OSError:
                continue  # it has gone, or is a link to nothing
            if left < 0 or files > MOST_FILES:
                return False
    return True
