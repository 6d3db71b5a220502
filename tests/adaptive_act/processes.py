"""Processes that need not import torch: copies of one that has, and has done nothing else."""

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import start_processes

COPIES = multiprocessing.get_context("forkserver")
COPIES.set_forkserver_preload([__name__, "adaptive_act.study"])


def start_group(task: Callable[..., object], *arguments: object) -> BaseProcess:
    """A process at `task`, in a group of its own, to which the processes that it starts belong."""
    process = COPIES.Process(target=_lead_group, args=(task, *arguments))
    process.start()
    return process


def _lead_group(task: Callable[..., object], *arguments: object) -> None:
    os.setpgid(0, 0)
    task(*arguments)


def in_two_processes(task: Callable[[int, Path], None], folder: Path) -> None:
    """Runs `task` with the ranks 0 and 1, which train together over gloo; an error of one is raised here."""
    start_processes(_member, (task, folder), nprocs=2, start_method=COPIES.get_start_method())  # type: ignore[no-untyped-call]


def _member(rank: int, task: Callable[[int, Path], None], folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    task(rank, folder)
    dist.barrier()
    dist.destroy_process_group()
    # Now and then one of gloo's threads outlives the group, and C++ then aborts as the interpreter ends.
    os._exit(0)
