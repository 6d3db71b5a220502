"""Runs an action in a copy of this process, with less room or fewer rights, and measures it."""

import contextlib
import os
import pickle
import resource
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

NOBODY = 65534
_SHOWN = 8000  # characters: less than a pipe holds unread
Action = Callable[[], object]


@dataclass(frozen=True)
class Outcome:
    """How the action ended, and what it took."""

    kind: str
    """`returned`, the name of the error's class, or the signal that ended it."""
    message: str = ""
    hint: str | None = None
    seconds: float = 0.0
    memory_bytes: int = 0
    """The most that it, or a process of its own, held at a time beyond what was there before."""


def run_isolated(action: Action, *, user: int | None = None, seconds: float = 120.0) -> Outcome:
    """What came of the action, as this user where root runs it; after so many seconds SIGALRM ends it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)  # so that processes of its own end with it
        os.close(reading)
        _run_and_exit(action, user, seconds, writing)
    os.close(writing)
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    with open(reading, "rb") as pipe:
        said = pipe.read()
    if os.WIFSIGNALED(status):
        return Outcome(signal.Signals(os.WTERMSIG(status)).name)
    found: Outcome = pickle.loads(said)
    return found


def limit_file_size(action: Action, *, file_bytes: int) -> Action:
    """The action, within which no file may be larger."""

    def run() -> object:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
        return action()

    return run


def _run_and_exit(action: Action, user: int | None, seconds: float, writing: int) -> NoReturn:
    status = 1
    try:
        before, began = _measure_resident(), time.monotonic()
        if user is not None and os.getuid() == 0:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
        signal.alarm(round(seconds))
        kind, message, hint = _run_action(action)
        took = time.monotonic() - began
        most = max(
            resource.getrusage(who).ru_maxrss * 1024
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        with contextlib.suppress(OSError), open(writing, "wb") as pipe:
            shown = message[:_SHOWN] + "…" * (len(message) > _SHOWN)
            pickle.dump(Outcome(kind, shown, hint, took, most - before), pipe)
        status = 0
    except BaseException:  # noqa: BLE001  # nothing may pass to what this process copied
        traceback.print_exc()
    finally:
        os._exit(status)


def _run_action(action: Action) -> tuple[str, str, str | None]:
    try:
        action()
    except BaseException as error:  # noqa: BLE001  # whatever it is, it is what came of it
        return type(error).__name__, str(error), getattr(error, "hint", None)
    return "returned", "", None


def _measure_resident() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()
