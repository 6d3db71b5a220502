"""Runs Python code in its own process, and measures its time and memory."""

import os
import subprocess
import sys
import tempfile
import time
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


def run(code: str, *arguments: str) -> FinishedProcess:
    """Runs the code with these arguments, whether it fails or not."""
    began = time.perf_counter()
    command = [sys.executable, "-c", code, *arguments]
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as stdout,
        subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, text=True) as process,
    ):
        progress = process.stderr.read() if process.stderr is not None else ""
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        stdout.seek(0)
        return FinishedProcess(seconds, usage.ru_maxrss * 1024, process.returncode, stdout.read(), progress)
