"""The first workers: forked from a process that has imported what they need, so that they share its memory.

They also start earlier so, since nothing is imported twice. Only the process that parsed the settings does
this, before it becomes the supervisor: it has one thread and no event loop.
"""

import gc
import os
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module

from serve.rest.console import read_console
from serve.settings import Settings
from serve.workers.spawn import STDIN, StartedWorker, open_ends
from serve.workers.worker import serve_connections

# uvicorn imports these only once they are used, so that each worker would have its own.
LATE_IMPORTS = ("uvicorn.lifespan.off", "uvicorn.loops.auto", "uvicorn.loops.uvloop", "uvloop")
GRPC_IMPORTS = ("serve.grpc.server", "serve.http2.session")
EXPERIMENT_IMPORTS = ("serve.rollout.rollout", "serve.rest.experiments", "serve.rest.plans")


def fork_workers(settings: Settings, limits: int, others: Sequence[int]) -> list[StartedWorker]:
    """As many workers as the settings say, which start; raises `OSError`.

    `limits` is the descriptor of `create_limits`, `others` are descriptors that workers must not keep.
    """
    supervisor = os.getpid()
    started: list[StartedWorker] = []
    prepare(settings)
    # What is never collected is never written to, and so stays shared.
    gc.collect()
    gc.freeze()
    for _ in range(settings.workers):
        ends = open_ends()
        pid = os.fork()
        if pid == 0:
            gc.enable()
            for other in started:
                other.ends.close()
            for descriptor in (*others, ends.connections, ends.channel):
                os.close(descriptor)
            _leave_terminal()
            serve_connections(settings, (), ends.of_worker(limits), supervisor)
        started.append(StartedWorker(pid, ends))
    return started


def prepare(settings: Settings) -> None:
    """Import what is missing of that which workers with these settings use, and read their console."""
    # FastAPI asks each type whether it is of pydantic 1, and takes a failed import for a no: 2 MB less.
    sys.modules.setdefault("pydantic.v1", None)  # type: ignore[arg-type]  # as Python's reference says
    for name in _list_imports(settings):
        import_module(name)
    if settings.console:
        read_console()


def _list_imports(settings: Settings) -> Iterator[str]:
    yield from LATE_IMPORTS
    if settings.grpc_port:
        yield from GRPC_IMPORTS
    if settings.experiments_store:
        yield from EXPERIMENT_IMPORTS


def _leave_terminal() -> None:
    """A terminal's Ctrl-C and its input are the supervisor's."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, STDIN)
    os.close(nothing)
