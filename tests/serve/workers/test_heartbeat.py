import os
from dataclasses import dataclass, field

import pytest

from serve.workers.heartbeat import SILENT_SECONDS, TICK_SECONDS, Heartbeat, ThreadTimes, read_times

ENOUGH = int(SILENT_SECONDS / TICK_SECONDS)


@dataclass
class FakeWorker:
    """A worker that beats as long as `beats` is raised, whose main thread has these times."""

    beats: int = 1
    is_ready: bool = True
    times: ThreadTimes = field(default_factory=ThreadTimes)

    def heartbeat(self) -> Heartbeat:
        made = Heartbeat(lambda: self.beats, lambda: self.times, lambda: self.is_ready)
        assert made.check(TICK_SECONDS) is None
        return made

    def run_for(self, seconds: float, state: str = "R") -> None:
        self.times = ThreadTimes(state, self.times.ran + seconds, self.times.waited)

    def wait_for(self, seconds: float, state: str = "S") -> None:
        self.times = ThreadTimes(state, self.times.ran, self.times.waited + seconds)


def test_a_worker_that_sleeps_past_its_beats_hangs() -> None:
    heartbeat = FakeWorker().heartbeat()
    assert [heartbeat.check(TICK_SECONDS) for _ in range(ENOUGH - 1)] == [None] * (ENOUGH - 1)
    assert heartbeat.is_late
    assert heartbeat.check(TICK_SECONDS) == "hangs: it does not come round to its event loop for 4 s"


def test_a_beat_ends_the_silence() -> None:
    worker = FakeWorker()
    heartbeat = worker.heartbeat()
    for _ in range(ENOUGH - 1):
        heartbeat.check(TICK_SECONDS)
    worker.beats += 1
    assert heartbeat.check(TICK_SECONDS) is None
    assert not heartbeat.is_late
    assert [heartbeat.check(TICK_SECONDS) for _ in range(ENOUGH - 1)] == [None] * (ENOUGH - 1)


def test_a_worker_that_runs_past_its_beats_hangs() -> None:
    worker = FakeWorker(times=ThreadTimes("R"))
    heartbeat = worker.heartbeat()
    heartbeat.check(TICK_SECONDS)
    failures = []
    for _ in range(ENOUGH):
        worker.run_for(TICK_SECONDS)
        failures.append(heartbeat.check(TICK_SECONDS))
    assert [bool(failure) for failure in failures] == [False] * (ENOUGH - 1) + [True]


@pytest.mark.parametrize("is_ready", [True, False])
def test_a_stopped_worker_hangs_even_if_it_starts(is_ready: bool) -> None:
    heartbeat = FakeWorker(is_ready=is_ready, times=ThreadTimes("T")).heartbeat()
    failures = [heartbeat.check(TICK_SECONDS) for _ in range(ENOUGH)]
    assert failures[-1] == "hangs: it was stopped for 4 s"


@pytest.mark.parametrize(
    "worker",
    [
        FakeWorker(is_ready=False),
        FakeWorker(times=ThreadTimes("R")),
        FakeWorker(times=ThreadTimes("D")),
    ],
    ids=["it starts", "it gets no core", "the disk is slow"],
)
def test_a_worker_that_cannot_beat_does_not_hang(worker: FakeWorker) -> None:
    heartbeat = worker.heartbeat()
    assert not any(heartbeat.check(TICK_SECONDS) for _ in range(100 * ENOUGH))


def test_waiting_for_a_core_between_sleeps_is_no_silence() -> None:
    worker = FakeWorker()
    heartbeat = worker.heartbeat()
    for _ in range(100 * ENOUGH):
        worker.wait_for(TICK_SECONDS)
        assert heartbeat.check(TICK_SECONDS) is None


def test_a_machine_that_was_suspended_hangs_no_worker() -> None:
    heartbeat = FakeWorker().heartbeat()
    heartbeat.check(TICK_SECONDS)
    assert heartbeat.check(3600.0) is None


def test_the_system_knows_the_times_of_a_process() -> None:
    times = read_times(os.getpid())
    assert times.state == "R"
    assert times.ran > 0


def test_a_process_that_is_gone_has_no_times() -> None:
    assert read_times(2**22 + 1) == ThreadTimes()
