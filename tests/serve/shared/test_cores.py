import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from serve.shared.cores import SLOTS, SharedCores
from serve.shared.memory import create_limits, open_cores, open_limits


@pytest.fixture
def descriptor() -> Iterator[int]:
    made = create_limits()
    yield made
    os.close(made)


def test_workers_count_their_runs_together(descriptor: int) -> None:
    first, second = (open_cores(descriptor, 3) for _ in range(2))
    assert first.has_free()
    first.publish(2)
    assert second.has_free()
    second.publish(1)
    assert not first.has_free()
    first.publish(0)
    assert second.has_free()


def test_the_limits_of_clients_are_beside_them(descriptor: int) -> None:
    cores = open_cores(descriptor, 10**9)
    limits = open_limits(descriptor)
    cores.publish(5)
    for number in range(1000):
        limits.take(f"client {number}", 1.0)
    assert cores.has_free()


def test_what_a_process_ran_that_has_ended_counts_no_more(descriptor: int) -> None:
    code = (
        "import os, sys; from serve.shared.memory import open_cores; "
        "open_cores(int(sys.argv[1]), 2).publish(2); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(descriptor)], check=True, pass_fds=[descriptor])
    before = open_cores(descriptor, 2)
    assert before.has_free()


def test_slots_of_ended_processes_are_used_again(descriptor: int) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    first = open_cores(descriptor, 2)
    owners, _ = first._owners, first._running
    for slot in range(1, SLOTS):
        owners[slot] = ended.pid
    assert isinstance(open_cores(descriptor, 2), SharedCores)
    assert list(owners[2:]) == [0] * (SLOTS - 2)
