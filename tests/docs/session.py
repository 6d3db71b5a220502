"""A shell or a Python session that stays open from block to block."""

import os
import select
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

DONE = "-- the block is done:"
SECONDS = 900


class Session:
    """A process that reads lines and prints `DONE STATUS` after each."""

    def __init__(self, arguments: list[str], folder: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            arguments,
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout

    def run(self, place: str, line: str, status: int = 0) -> str:
        """What the line prints, once it ends with this status."""
        self._stdin.write(f"{line}\n".encode())
        self._stdin.flush()
        printed = ""
        while DONE not in printed:
            assert select.select([self._stdout], [], [], SECONDS)[0], f"{place} does not end:\n{printed}"
            part = os.read(self._stdout.fileno(), 1 << 16)
            assert part, f"{place} failed:\n{printed}"
            printed += part.decode(errors="replace")
        printed, _, ended = printed.partition(DONE)
        assert int(ended) == status, f"{place} ended with {ended.strip()}, not {status}:\n{printed}"
        return printed

    def __enter__(self) -> "Session":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stdin.close()
        with suppress(ProcessLookupError):
            # With what it has started, such as a server.
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._stdout.close()
