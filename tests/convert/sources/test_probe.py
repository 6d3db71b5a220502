import gc
import os
import signal
import time

import pytest

from convert.errors import SourceError
from convert.sources.probe import run_after_probe

MEMORY = 2**28


def test_an_action_that_survives_runs_here() -> None:
    places: list[int] = []
    assert run_after_probe(lambda: places.append(os.getpid()) or 7, MEMORY, 60) == 7  # type: ignore[func-returns-value]
    assert places == [os.getpid()]


def test_an_action_that_raises_does_not_run_here() -> None:
    parent = os.getpid()

    def raises() -> None:
        assert os.getpid() != parent
        raise ValueError("no such thing\nat all")

    with pytest.raises(RuntimeError, match=r"^ValueError: no such thing$"):
        run_after_probe(raises, MEMORY, 60)


def test_a_conversion_error_is_raised_here() -> None:
    def refuses() -> None:
        raise SourceError("not this one", hint="another")

    with pytest.raises(SourceError, match=r"^not this one$") as refused:
        run_after_probe(refuses, MEMORY, 60)
    assert refused.value.hint == "another"


def test_a_crash_ends_the_copy_alone() -> None:
    with pytest.raises(RuntimeError, match=r"crashes its reader \(SIGSEGV\)"):
        run_after_probe(lambda: os.kill(os.getpid(), signal.SIGSEGV), MEMORY, 60)


def test_more_memory_than_allowed_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="MemoryError"):
        run_after_probe(lambda: bytearray(2**30), MEMORY, 60)


def test_more_time_than_allowed_is_an_error() -> None:
    begun = time.monotonic()
    with pytest.raises(RuntimeError, match=r"more than 0\.1 s"):
        run_after_probe(lambda: time.sleep(600), MEMORY, 0.1)
    assert time.monotonic() - begun < 60


class _Held:
    """Garbage that can end in its own process only, as a session of ONNX Runtime."""

    def __init__(self) -> None:
        self.itself, self.home = self, os.getpid()

    def __del__(self) -> None:
        while os.getpid() != self.home:
            time.sleep(0.01)


def test_the_garbage_of_the_process_is_not_collected_in_its_copy() -> None:
    gc.disable()
    try:
        _Held()
        assert run_after_probe(lambda: gc.collect() >= 0, MEMORY, 60)
    finally:
        gc.enable()
