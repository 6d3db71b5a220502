"""Opens a file with a reader that a hostile file can crash: first in a process of its own."""

import contextlib
import faulthandler
import gc
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

from adaptact.text import first_line
from convert.errors import ConversionError

_T = TypeVar("_T")
_POLL_SECONDS = 0.002
_LONGEST_REASON = 500  # bytes, fewer than a pipe holds unread


def run_after_probe(action: Callable[[], _T], memory_bytes: int, seconds: float) -> _T:
    """The result of `action`, or its ConversionError, after a copy of this process has survived it.

    The copy may take `memory_bytes` more memory, and `seconds`. Raises RuntimeError where it raised anything
    but a ConversionError, crashed, or was killed at a limit.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _run_and_exit(action, memory_bytes, writing)
    os.close(writing)
    with open(reading, "rb") as pipe:
        status = _wait(child, seconds)
        if status is None:
            raise RuntimeError(f"opening it took more than {seconds:g} s")
        if os.WIFSIGNALED(status):
            name = signal.Signals(os.WTERMSIG(status)).name
            raise RuntimeError(f"opening it crashes its reader ({name})")
        if status:
            raise RuntimeError(pipe.read().decode(errors="replace"))
    return action()


def _run_and_exit(action: Callable[[], object], memory_bytes: int, writing: int) -> NoReturn:
    """Ends this process: with 0 where `action` returned or raised ConversionError, else with 1."""
    status = 1
    try:
        # Garbage that the copy got stays as it is: a session of ONNX Runtime would wait for threads that it
        # has in the first process only.
        gc.freeze()
        faulthandler.disable()
        silence = os.open(os.devnull, os.O_RDWR)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limit = pages * resource.getpagesize() + memory_bytes
        _, hard_limit = resource.getrlimit(resource.RLIMIT_AS)
        limit = limit if hard_limit == resource.RLIM_INFINITY else min(limit, hard_limit)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        with contextlib.suppress(ConversionError):  # the caller's process raises it again
            action()
        status = 0
    except BaseException as error:  # noqa: BLE001  # nothing may propagate into the code of the parent process
        os.write(writing, f"{type(error).__name__}: {first_line(error)}".encode()[:_LONGEST_REASON])
    finally:
        os._exit(status)


def _wait(child: int, seconds: float) -> int | None:
    """The child's status; None where it was killed at the time limit."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        time.sleep(_POLL_SECONDS)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None
