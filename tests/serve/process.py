"""The real server as a process."""

import os
import random
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO
from urllib.parse import urlsplit

import psutil

COMMAND = Path(sys.executable).with_name("adaptact-serve")
STOP_SECONDS = 120
UNASKED_PORTS = range(20_000, 32_000)


def free_port() -> int:
    """A free port outside the system's own range, so that it is still free a moment later."""
    for port in random.sample(UNASKED_PORTS, 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError(f"no port of {UNASKED_PORTS} is free")


class ServerProcess:
    """A server of one worker on a free port; killed at the end if it has not stopped."""

    def __init__(self, *arguments: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ADAPTACT_")}
        environment["ADAPTACT_WORKERS"] = "1"  # unless the arguments say otherwise
        self._process = subprocess.Popen(
            [str(COMMAND), *arguments, "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        # The line is printed once the port answers; without a line the process has ended.
        self.first_line = self._output.readline()
        url = re.search(r"https?://\S+", self.first_line)
        if url is None:
            self._process.kill()
            raise AssertionError(f"the server did not start: {self.first_line!r}")
        self.url = url[0]
        address = urlsplit(self.url)
        self.host, self.port = str(address.hostname), int(address.port or 0)
        self.address = f"{self.host}:{self.port}"

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """The exit status after this signal."""
        self._process.send_signal(number)
        return self._process.wait(STOP_SECONDS)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def worker(self) -> psutil.Process:
        """The process that answers."""
        return psutil.Process(self.pid).children()[0]

    def processor_seconds(self) -> float:
        """The processor time so far, of it and its workers."""
        process = psutil.Process(self.pid)
        return float(sum(part.cpu_times().user for part in (process, *process.children())))

    def resident_bytes(self) -> int:
        process = psutil.Process(self.pid)
        return sum(int(part.memory_info().rss) for part in (process, *process.children()))

    @property
    def _output(self) -> IO[str]:
        assert self._process.stdout is not None
        return self._process.stdout

    def __enter__(self) -> "ServerProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(STOP_SECONDS)
        self._output.close()
