import os
import threading
import time
from dataclasses import replace
from pathlib import Path

from serve.engine.model_files import open_files
from serve.engine.processor_time import ProcessorTime
from serve.engine.repository import ModelFile
from serve.engine.session import Session
from tests.serve import models
from tests.serve.engine.loading import OPTIONS


def spend(timed: ProcessorTime, seconds: float) -> None:
    """Time a run that takes so much of this thread's processor time."""
    began, start = timed.begin(), time.thread_time()
    while time.thread_time() < start + seconds:
        pass
    timed.end(began)


def test_nothing_is_known_before_a_run_was_timed() -> None:
    assert ProcessorTime().estimate(1.0) is None


def test_a_run_that_waits_takes_no_processor() -> None:
    timed = ProcessorTime()
    timed.wanted = 1
    began = timed.begin()
    time.sleep(0.05)
    timed.end(began)
    assert timed.wanted == 0
    known = timed.estimate(100.0)
    assert known is not None
    assert 0 <= known < 50


def test_what_the_pool_uses_counts_in_full() -> None:
    # This thread stands for the pool, too.
    alone, both = ProcessorTime(), ProcessorTime({threading.get_native_id()})
    for timed in (alone, both):
        spend(timed, 0.02)
    calling, all_together = alone.estimate(0.0), both.estimate(0.0)
    assert calling == 0.0
    assert all_together is not None
    assert all_together >= 0.02


def test_a_session_knows_its_own_threads(tmp_path: Path) -> None:
    path = models.put(tmp_path, "m", models.model(models.DOUBLE))
    with open_files(ModelFile("m", "1", path), 2**20) as files:
        assert Session(files, OPTIONS).pool == set()
        session = Session(files, replace(OPTIONS, threads=3))
    assert session.pool is not None
    assert len(session.pool) == 2
    assert session.pool <= {int(name) for name in os.listdir("/proc/self/task")}
    assert session.file_bytes == path.stat().st_size
