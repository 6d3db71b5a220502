"""What was acknowledged is there after the process that acknowledged it was killed (kill -9)."""

import os
import random
import signal
import subprocess
import sys
import threading

import pytest

from serve.experiments.store.database import Store
from serve.experiments.store.tables import outcomes
from tests.serve.experiments.store.rows import read_rows

KILLS = int(os.environ.get("ADAPTACT_KILLS", "3"))

# Sends outcomes without end and says so after each call; a call has more than one transaction at times.
PROGRAM = """
import itertools, sys
from serve.experiments.store.database import open_store
from serve.experiments.store.feedback import Feedback, accept

store, start, count = open_store(sys.argv[1]), int(sys.argv[2]), 0
for size in itertools.cycle((1, 7, 1100)):
    names = range(start + count, start + count + size)
    accept(store, [Feedback("m", 1.0, request_id=str(n)) for n in names])
    count += size
    print(count, flush=True)
"""


def kill_at_a_random_moment(where: str, start: int, chance: random.Random) -> int:
    """How many outcomes the process acknowledged before it was killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, where, str(start)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    acknowledged = 0
    for _ in range(chance.randrange(1, 8)):
        acknowledged = int(process.stdout.readline())
    timer = threading.Timer(chance.random() * 0.03, process.kill)
    timer.start()
    for line in process.stdout:
        if line.endswith("\n"):
            acknowledged = int(line)
    timer.join()
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    return acknowledged


@pytest.mark.slow
def test_acknowledged_feedback_survives_kills(where: str, store: Store) -> None:
    chance = random.Random(1)
    acknowledged: set[str] = set()
    for turn in range(KILLS):
        start = turn * 1_000_000
        count = kill_at_a_random_moment(where, start, chance)
        acknowledged |= {str(start + n) for n in range(count)}
    stored = [name for (name,) in read_rows(store, outcomes, "request_id")]
    assert len(stored) == len(set(stored))
    assert acknowledged <= set(stored)
