import asyncio
import signal
import subprocess
import sys
from types import SimpleNamespace
from typing import Any, cast

from serve.workers.supervised import Worker

BUSY = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
print("ready", flush=True)
input()
print(sorted(map(int, signal.sigpending())))
"""


def test_a_worker_that_handles_no_signal_for_a_while_hears_both_stops() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    asyncio.run(_stop_twice(SimpleNamespace(send_signal=process.send_signal)))
    told, _ = process.communicate("\n")
    assert told == f"{sorted((int(signal.SIGINT), int(signal.SIGTERM)))}\n"


async def _stop_twice(process: Any) -> None:
    worker = Worker(process, cast("Any", None))
    worker.may_have_clients = True
    worker.stop()
    worker.stop()
