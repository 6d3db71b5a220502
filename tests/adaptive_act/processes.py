"""Two processes that train together over gloo."""

import os
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn


def in_two_processes(task: Callable[[int, Path], None], folder: Path) -> None:
    """Runs `task` with the ranks 0 and 1, each in a process of its own; an error of one is raised here."""
    spawn(_member, (task, folder), nprocs=2)  # type: ignore[no-untyped-call]


def _member(rank: int, task: Callable[[int, Path], None], folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    task(rank, folder)
    dist.barrier()
    dist.destroy_process_group()
    # Now and then one of gloo's threads outlives the group, and C++ then aborts as the interpreter ends.
    os._exit(0)
