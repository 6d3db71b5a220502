"""Work in several processes, which end with their parent."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Protocol, TypeAlias, TypeVar

import torch

from adaptive_act.errors import StudyError
from adaptive_act.study.specs import RunSpec

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")
Result = TypeVar("Result")

Execute: TypeAlias = Callable[[RunSpec, Path], tuple[str, Result]]
"""Does a run, keeps it in files of the folder, and gives its key and its result."""


class Machines(Protocol):
    """Where runs take place."""

    def run(
        self, execute: Execute[Result], specs: Sequence[RunSpec], folder: Path
    ) -> Iterator[tuple[str, Result]]:
        """The key and the result of each spec, as they finish; they are kept in `folder` by then."""


@dataclass(frozen=True, slots=True)
class LocalProcesses:
    """Runs take place in so many processes of this machine."""

    jobs: int

    def run(
        self, execute: Execute[Result], specs: Sequence[RunSpec], folder: Path
    ) -> Iterator[tuple[str, Result]]:
        """The key and the result of each spec, as they finish; they are kept in `folder` by then."""
        return map_in_processes(partial(_execute_in, folder, execute), specs, self.jobs)


def _execute_in(folder: Path, execute: Execute[Result], spec: RunSpec) -> tuple[str, Result]:
    return execute(spec, folder)


def map_in_processes(
    task: Callable[[_Task], _Result], items: Sequence[_Task], jobs: int
) -> Iterator[_Result]:
    """The results of `task` for each of `items`, as they finish; one job works in this process, in order.

    An error of the task ends the work. Raises StudyError where a process was ended from outside.
    """
    if min(jobs, len(items)) <= 1:
        yield from map(task, items)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(items)), mp_context=context, initializer=_init_worker) as pool:
        try:
            yield from _submit_in_turn(pool, task, items, jobs)
        except BrokenProcessPool as error:
            raise StudyError(
                "a process that trained was ended from outside, perhaps for want of memory; finished runs "
                "are kept: start the study again, with fewer `--jobs` if memory is short"
            ) from error


def _submit_in_turn(
    pool: ProcessPoolExecutor, task: Callable[[_Task], _Result], items: Sequence[_Task], jobs: int
) -> Iterator[_Result]:
    """Submits only as many tasks as there are processes, so that an error leaves little to wait for."""
    waiting = list(reversed(items))
    running: set[Future[_Result]] = set()
    while waiting or running:
        while waiting and len(running) < jobs:
            running.add(pool.submit(task, waiting.pop()))
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            yield future.result()


def _init_worker() -> None:
    """Makes a new process silent on Ctrl-C, and ends it when its parent ends, even by kill -9."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    assert parent is not None
    sentinel = parent.sentinel

    def follow() -> None:
        wait_for([sentinel])
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


@contextlib.contextmanager
def use_one_thread() -> Iterator[None]:
    """Within the block, torch uses one thread: sums depend on the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
