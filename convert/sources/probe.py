"""Opening a file with a reader that a hostile one can crash: in a process of its own first."""

import contextlib
import faulthandler
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

from convert.errors import ConversionError

_T = TypeVar("_T")
_POLL_SECONDS = 0.002
_LONGEST_REASON = 500  # bytes, fewer than a pipe holds unread


def first_elsewhere(opened: Callable[[], _T], memory_bytes: int, seconds: float) -> _T:
    """What `opened` gives, or how it refuses, here, once a copy of this process has called it and lived.

    The copy may take so many more bytes of memory, and so many seconds. Raises RuntimeError where it raised
    anything but a ConversionError, crashed, or was ended for taking more.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _try(opened, memory_bytes, writing)
    os.close(writing)
    with open(reading, "rb") as pipe:
        status = _waited(child, seconds)
        if status is None:
            raise RuntimeError(f"opening it took more than {seconds:g} s")
        if os.WIFSIGNALED(status):
            name = signal.Signals(os.WTERMSIG(status)).name
            raise RuntimeError(f"opening it crashes its reader ({name})")
        if status:
            raise RuntimeError(pipe.read().decode(errors="replace"))
    return opened()


def _try(opened: Callable[[], object], memory_bytes: int, writing: int) -> NoReturn:
    """Ends this process: status 0 where `opened` returned or refused; else 1, and the reason is written."""
    status = 1
    try:
        faulthandler.disable()
        silence = os.open(os.devnull, os.O_RDWR)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limit = pages * resource.getpagesize() + memory_bytes
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        with contextlib.suppress(ConversionError):  # a refusal, which comes again, whole, where it is wanted
            opened()
        status = 0
    except BaseException as error:  # noqa: BLE001  # the end of a process: nothing may pass to what it copied
        reason = next(iter(str(error).strip().splitlines()), "")
        os.write(writing, f"{type(error).__name__}: {reason}".encode()[:_LONGEST_REASON])
    finally:
        os._exit(status)


def _waited(child: int, seconds: float) -> int | None:
    """The child's status; None where it had to be ended because its time was over."""
    over = time.monotonic() + seconds
    while time.monotonic() < over:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        time.sleep(_POLL_SECONDS)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None
