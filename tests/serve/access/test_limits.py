import os
import subprocess
import sys
from contextlib import ExitStack
from mmap import mmap
from subprocess import PIPE

import pytest

from serve.access import limits
from serve.access.errors import ClientLimitError
from serve.access.limits import MEMORY_BYTES, ClientLimits
from serve.shared.memory import create_limits
from tests.waiting import SECONDS


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def admitted(served: ClientLimits, client: str, per_second: float) -> bool:
    try:
        served.take(client, per_second)
    except ClientLimitError:
        return False
    return True


def test_a_client_gets_its_rate_and_no_more(clock: Clock) -> None:
    served = ClientLimits(clock=clock)
    taken = 0
    for step in range(1000):  # ten seconds, a hundred requests in each
        clock.now = step / 100
        taken += admitted(served, "a", 10)
    assert taken == pytest.approx(10 + 10 * 10, abs=1)  # its burst and its rate


def test_a_client_is_served_after_the_time_of_its_refusal(clock: Clock) -> None:
    served = ClientLimits(clock=clock)
    served.take("a", 0.5)
    with pytest.raises(ClientLimitError) as refused:
        served.take("a", 0.5)
    clock.now += refused.value.retry_after_seconds - 0.01
    assert not admitted(served, "a", 0.5)
    clock.now += 0.02
    served.take("a", 0.5)


def test_a_refusal_costs_the_client_nothing(clock: Clock) -> None:
    served = ClientLimits(clock=clock)
    served.take("a", 1)
    for _ in range(100):
        assert not admitted(served, "a", 1)
    clock.now += 1
    served.take("a", 1)


def test_one_client_does_not_use_up_what_another_has(clock: Clock) -> None:
    served = ClientLimits(clock=clock)
    names = [f"192.0.2.{number}" for number in range(256)]
    assert all(admitted(served, name, 1) for name in names)
    assert not any(admitted(served, name, 1) for name in names)


def test_without_a_limit_nothing_is_counted(clock: Clock) -> None:
    memory = mmap(-1, MEMORY_BYTES)
    served = ClientLimits(memory, clock=clock)
    for _ in range(1000):
        served.take("a", 0)
    assert bytes(memory) == bytes(MEMORY_BYTES)


def test_of_too_many_clients_the_fullest_are_dropped(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SETS", 1)
    served = ClientLimits(clock=clock)
    for number in range(limits.SLOTS - 1):
        served.take(f"slow {number}", 0.01)
    for number in range(100):
        assert admitted(served, f"quick {number}", 100)
    assert not any(admitted(served, f"slow {number}", 0.01) for number in range(limits.SLOTS - 1))


TAKE = """
import sys
from serve.access import limits
from serve.access.errors import ClientLimitError
from serve.shared.memory import open_limits

limits.BURST_SECONDS, taken = 1e9, 0
served = open_limits(int(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for _ in range(20_000):
    try:
        served.take("a", 2e-5)
        taken += 1
    except ClientLimitError:
        pass
print(taken)
"""


def test_processes_that_share_a_memory_count_together() -> None:
    descriptor = create_limits()
    command = [sys.executable, "-c", TAKE, str(descriptor)]
    with ExitStack() as closing:
        processes = [
            closing.enter_context(
                subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True, pass_fds=[descriptor])
            )
            for _ in range(3)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        assert sum(int(process.communicate(timeout=SECONDS)[0]) for process in processes) == 20_000
    os.close(descriptor)
