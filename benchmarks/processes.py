"""Runs Python code in its own process, and measures its time and memory."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

EXPORT = "import sys; from convert.commands.export import main; sys.argv[0] = 'adaptact-export'; main()"
"""The code of the command adaptact-export."""


@dataclass(frozen=True, slots=True)
class FinishedProcess:
    """A process that ended: `stdout` is what it wrote to stdout, `progress` what to stderr."""

    seconds: float
    peak_bytes: int
    status: int
    stdout: str
    progress: str

    def require_success(self) -> "FinishedProcess":
        """Itself; SystemExit where the process failed."""
        if self.status:
            raise SystemExit(f"a process ended with exit status {self.status}: {self.progress[-2000:]}")
        return self

    @property
    def last_line(self) -> str:
        """The error line of stderr, or else its last line."""
        lines = [line.strip() for line in self.progress.splitlines() if line.strip()]
        return next((line for line in lines if line.startswith("error:")), lines[-1] if lines else "")[:200]

    def describe_failure(self) -> str:
        """What it said last, or else how it ended."""
        how = f"ended by signal {-self.status} after {self.seconds:.0f} s"
        return self.last_line if self.status > 0 and self.last_line else how


def run(code: str, *arguments: str, seconds: float | None = None) -> FinishedProcess:
    """Runs the code with these arguments, whether it fails or not; one that takes longer is killed."""
    began = time.perf_counter()
    command = [sys.executable, "-c", code, *arguments]
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as stdout,
        subprocess.Popen(
            command, stdout=stdout, stderr=subprocess.PIPE, text=True, start_new_session=True
        ) as process,
        _limit(process, seconds),
    ):
        progress = process.stderr.read() if process.stderr is not None else ""
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        stdout.seek(0)
        return FinishedProcess(seconds, usage.ru_maxrss * 1024, process.returncode, stdout.read(), progress)


@contextmanager
def _limit(process: "subprocess.Popen[str]", seconds: float | None) -> Iterator[None]:
    """Within the block the process, and those that it started, have so many seconds; none after an error."""

    def kill() -> None:
        with suppress(ProcessLookupError):  # it has just ended
            os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(seconds or 0.0, kill)
    if seconds is not None:
        timer.start()
    try:
        yield
    except BaseException:  # also of a keyboard, which would end this process alone
        kill()
        raise
    finally:
        timer.cancel()
