"""The NVIDIA GPU of this machine, and what is missing to use it: the standard library only.

`python -m tests.gpu.card` prints it, and exits with 1 where something is missing, before any download.
"""

import ctypes
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

DRIVER = "libcuda.so.1"
QUERY = "name,driver_version,memory.total,compute_cap"
LEAST_DRIVER = 580
"""The first branch of drivers for CUDA 13, for which the pinned libraries are."""
TIMEOUT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU: its name, its driver, its memory in MiB, and its compute capability."""

    name: str
    driver: str
    memory_mib: int
    capability: str


class NoCardError(Exception):
    """There is no GPU that the tests can use; the message says what is missing."""


def find_card(query: Callable[[], str] | None = None, load: Callable[[str], object] = ctypes.CDLL) -> Card:
    """The first GPU. Raises NoCardError."""
    try:
        load(DRIVER)
    except OSError as error:
        raise NoCardError(f"no driver: `{DRIVER}` cannot be loaded ({error})") from error
    try:
        lines = (query or _query)().strip().splitlines()
    except (OSError, subprocess.SubprocessError) as error:
        raise NoCardError(f"no GPU: `nvidia-smi` does not answer ({error})") from error
    fields = [part.strip() for part in lines[0].split(",")] if lines else []
    if len(fields) != 4 or not fields[2].isdecimal():
        raise NoCardError(f"no GPU: `nvidia-smi` says `{lines[0] if lines else ''}`, expected {QUERY}")
    card = Card(fields[0], fields[1], int(fields[2]), fields[3])
    branch = card.driver.partition(".")[0]
    if branch.isdecimal() and int(branch) < LEAST_DRIVER:
        raise NoCardError(
            f"the driver of `{card.name}` is {card.driver}, expected {LEAST_DRIVER} or later, for CUDA 13"
        )
    return card


def _query() -> str:
    command = ["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader,nounits"]
    return subprocess.run(command, capture_output=True, check=True, text=True, timeout=TIMEOUT_SECONDS).stdout


def main() -> int:
    """The exit code."""
    try:
        card = find_card()
    except NoCardError as error:
        sys.stderr.write(f"error: {error}\nnothing was tested, and nothing written\n")
        return 1
    sys.stdout.write(f"{card.name}, driver {card.driver}, {card.memory_mib} MiB, compute {card.capability}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
