"""The first workers: forked from a process that has imported what they need, so that they share its memory.

They also start earlier so, since nothing is imported twice. Only the process that parsed the settings does
this, before it becomes the supervisor: it has one thread and no event loop.
"""

import gc
import os
import warnings
from collections.abc import Sequence
from importlib import import_module

from serve.settings import Settings
from serve.workers.spawn import STDIN, StartedWorker, open_ends
from serve.workers.worker import serve_connections

# FastAPI and uvicorn import these only once they are used, so that each worker would have its own: 4 MB.
LATE_IMPORTS = (
    "pydantic.v1",
    "uvicorn.lifespan.off",
    "uvicorn.loops.auto",
    "uvicorn.loops.uvloop",
    "uvloop",
)


def fork_workers(settings: Settings, limits: int, others: Sequence[int]) -> list[StartedWorker]:
    """As many workers as the settings say, which start; raises `OSError`.

    `limits` is the descriptor of `create_limits`, `others` are descriptors that workers must not keep.
    """
    supervisor = os.getpid()
    started: list[StartedWorker] = []
    import_all()
    # What is never collected is never written to, and so stays shared.
    gc.collect()
    gc.freeze()
    for _ in range(settings.workers):
        ends = open_ends()
        pid = os.fork()
        if pid == 0:
            for other in started:
                other.ends.close()
            for descriptor in (*others, ends.connections, ends.channel):
                os.close(descriptor)
            _leave_terminal()
            serve_connections(settings, (), ends.of_worker(limits), supervisor)
        started.append(StartedWorker(pid, ends))
    return started


def import_all() -> None:
    """Import what is missing of that which workers use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # pydantic.v1 warns on Python 3.14 of what is not used
        for name in LATE_IMPORTS:
            import_module(name)


def _leave_terminal() -> None:
    """A terminal's Ctrl-C and its input are the supervisor's."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, STDIN)
    os.close(nothing)
