"""Versions that no longer serve: freed once their requests are answered."""

import threading
from time import monotonic, sleep

from adaptact.memory import release_free_memory
from serve.engine.model import ServedModel
from serve.engine.run_queue import RunQueue

CHECK_SECONDS = 0.01  # how often to check whether the last request has its answer


class Retirement:
    """Lets versions finish their requests for so many seconds, then ends what still runs."""

    def __init__(self, run_queue: RunQueue, drain_seconds: float) -> None:
        """The queue in which their requests are."""
        self._run_queue = run_queue
        self._drain_seconds = drain_seconds

    def begin(self, stopped: list[ServedModel]) -> None:
        """Retire them in another thread."""
        if stopped:
            threading.Thread(target=self.finish, args=[stopped], name="adaptact-retire", daemon=True).start()

    def finish(self, stopped: list[ServedModel]) -> None:
        """Let the versions finish their requests, then free them and empty the list."""
        end = monotonic() + self._drain_seconds
        while stopped:
            if not self._run_queue.count_pending(stopped[-1]):
                # A caller that looked it up just before it was replaced may still come, and is served.
                stopped.pop()
            elif monotonic() < end:
                sleep(CHECK_SECONDS)
            else:
                self._run_queue.stop(stopped.pop())
        release_free_memory()
