"""The memory that a model takes, measured in a process of its own.

A process that serves several models cannot tell whose its memory is. So another one loads the model alone,
runs it, and says by how much its own memory has grown: `python -m serve.engine.footprint JSON`.
"""

import ctypes
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort

from adaptact.memory import release_free_memory, share_one_arena
from adaptact.providers.catalogue import ProviderName, find_provider
from serve.engine.joining import has_rows
from serve.engine.model_files import open_files
from serve.engine.options import EngineOptions
from serve.engine.providers import SILENT
from serve.engine.repository import ModelFile
from serve.engine.session import SESSION_ERRORS, Session, SessionOptions

log = logging.getLogger("adaptact")

STATUS = Path("/proc/self/status")
OWN_MEMORY = re.compile(r"^RssAnon:\s+(\d+) kB$", re.MULTILINE)
LIMIT_SECONDS = 120
NICENESS = 19
FIRST_TO_END = "1000"  # of all processes, where memory is short
RUNS = 3
PR_SET_PDEATHSIG = 1  # of prctl(2), which Python does not have
# A model of one Identity. With its first session a provider takes what all sessions share.
IDENTITY = bytes.fromhex(
    "08083a370a100a017812017922084964656e746974791201675a0f0a0178120a0a08080112040a02"
    "0801620f0a0179120a0a08080112040a02080142040a001011"
)


@dataclass(frozen=True, slots=True)
class FootprintTask:
    """Which file is loaded, and with how many threads for a run."""

    name: str
    version: str
    path: str
    is_bare: bool
    limit_bytes: int
    threads: int
    provider: ProviderName = "cpu"


class Footprint:
    """What one model takes; measured once it is asked for."""

    _measuring = threading.Lock()  # one at a time of all models

    def __init__(
        self, task: FootprintTask, measure: "Callable[[FootprintTask, int], int | None] | None" = None
    ) -> None:
        """Nothing is measured yet."""
        self._task = task
        self._measure = measure or measure_footprint
        self._has_begun = False
        self._bytes: int | None = None

    def find(self, rows: int) -> int | None:
        """The bytes of memory with runs of so many rows; None until they are measured, in another thread."""
        if not self._has_begun:
            self._has_begun = True
            threading.Thread(target=self._work, args=[rows], name="adaptact-footprint", daemon=True).start()
        return self._bytes

    def _work(self, rows: int) -> None:
        with self._measuring:
            self._bytes = self._measure(self._task, rows)


def make_footprint(
    entry: ModelFile, options: EngineOptions, provider: ProviderName, threads: int
) -> Footprint | None:
    """What the file's model takes; None on a GPU, since what that holds is not the process's memory."""
    if find_provider(provider).on_gpu:
        return None
    about = entry.name, entry.version, str(entry.path), entry.bare
    manner = options.model_limit_bytes, threads, provider
    return Footprint(FootprintTask(*about, *manner))


def measure_footprint(task: FootprintTask, rows: int) -> int | None:
    """By how many bytes a process grows that loads the model and runs it; None where that fails."""
    given = json.dumps({**asdict(task), "rows": rows})
    command = [sys.executable, "-P", "-m", "serve.engine.footprint", given]
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    done = subprocess.run(command, **streams, check=False, text=True)  # type: ignore[call-overload]
    if done.returncode:
        reason = (done.stderr.splitlines() or [f"exit status {done.returncode}"])[-1]
        log.warning("the memory of model `%s` version `%s`: %s", task.name, task.version, reason)
        return None
    return int(done.stdout)


def main() -> None:
    """Print the bytes that the task's model takes."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.alarm(LIMIT_SECONDS)
    os.nice(NICENESS)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_END)
    task = json.loads(sys.argv[1])
    rows = task.pop("rows")
    sys.stdout.write(str(_measure(FootprintTask(**task), rows)))


def _measure(task: FootprintTask, rows: int) -> int:
    share_one_arena()
    entry = ModelFile(task.name, task.version, Path(task.path), bare=task.is_bare)
    first = _open_identity(task.provider)
    before = _read_own_memory()
    with open_files(entry, task.limit_bytes) as files:
        session = Session(files, SessionOptions(task.threads, task.provider))
    _run(session, rows)
    taken = _read_own_memory() - before
    del session, first  # not before
    return max(taken, 0)


def _open_identity(provider: ProviderName) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = SILENT, 1
    session = find_provider(provider).open(IDENTITY, options)
    session.run(None, {"x": np.zeros(1, np.float32)})
    return session


def _run(session: Session, rows: int) -> None:
    """Run it on zeros of the smallest sizes that it takes, and so many rows."""
    signature = session.signature
    inputs, rows = signature.zeros(), signature.fit_rows(rows)
    if rows and has_rows(signature):
        inputs = {name: np.repeat(array[:1], rows, axis=0) for name, array in inputs.items()}
    with suppress(*SESSION_ERRORS):  # not every model takes zeros
        for _ in range(RUNS):
            session.run(inputs, signature.choose_outputs(None))


def _read_own_memory() -> int:
    """The bytes in memory that no file holds, and that the allocator could not give back."""
    release_free_memory()
    found = OWN_MEMORY.search(STATUS.read_text())
    if found is None:
        raise SystemExit("the system does not say what memory a process takes")
    return 1024 * int(found[1])


if __name__ == "__main__":
    main()
