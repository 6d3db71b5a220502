"""Waiting for what will be so, however busy the machine is."""

from collections.abc import Callable
from time import monotonic, sleep

SECONDS = 120.0


def until(seen: Callable[[], object], seconds: float = SECONDS) -> None:
    """Return once it is so; what is not so after two minutes, or so many seconds, never will be."""
    end = monotonic() + seconds
    while not seen():
        assert monotonic() < end, f"it is not so after {seconds:g} s"
        sleep(0.005)
