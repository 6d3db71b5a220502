"""One program of the fleet: started, waited for, stopped."""

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic, sleep

import httpx

READY_SECONDS = 120.0
STOP_SECONDS = 60.0


class FleetError(Exception):
    """Something is not as it should be."""


def check(is_so: bool, otherwise: str) -> None:
    """Raise FleetError unless it is so."""
    if not is_so:
        raise FleetError(otherwise)


def wait_until(is_so: Callable[[], bool], what: str, seconds: float = READY_SECONDS) -> float:
    """The seconds that it took until it was so; FleetError after too many."""
    began = monotonic()
    while not is_so():
        if monotonic() > began + seconds:
            raise FleetError(f"{what}: not within {seconds:g} s")
        sleep(0.05)
    return monotonic() - began


class Program:
    """A command that answers at `ready_url` with 200 once it has started; what it writes is in `log`."""

    ready_seconds = READY_SECONDS

    def __init__(
        self, command: Sequence[str], ready_url: str, log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self._command = list(command)
        self._ready_url = ready_url
        self._log = log
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """The seconds until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=self._environment, start_new_session=True
            )
        what = f"`{self._command[0]}` answers (its log is {self._log})"
        return wait_until(self._answers, what, self.ready_seconds)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """It has ended; SIGKILL is for its children too."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        if number == signal.SIGKILL:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        process.wait(STOP_SECONDS)

    def has_ended(self) -> bool:
        """Whether it is no longer there."""
        return self._process is None or self._process.poll() is not None

    def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise FleetError(f"`{self._command[0]}` has ended; its log is {self._log}")
        try:
            return httpx.get(self._ready_url, timeout=5).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False
