"""The threads that run what waits, and the limits of their runs.

As many runs as there are places go on at once. A run that lasts while others wait gives its place to a new
thread, and no model has more runs than there are places, so an endless one holds up its own model only. At
its model's deadline a run is ended. ONNX Runtime ends it before the next operator; where that does not come,
the run is stuck: its thread is given up, and the process should be replaced.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from queue import SimpleQueue
from time import monotonic, perf_counter

from serve.engine.batch import Batch, RunResult, run_batch
from serve.engine.cores import CoreCounts
from serve.engine.errors import DeadlineExceededError
from serve.engine.model import ServedModel
from serve.engine.waiting import WaitingRequests

LASTING_SECONDS = 1.0
STUCK_SECONDS = 3.0  # between its deadline and when a run counts as stuck
MIN_SPARE_THREADS = 8
MOST_BORROWED = 32

log = logging.getLogger("adaptact")


class RunThreads:
    """Threads that run what waits, the oldest request first.

    Beyond its places the process runs more while others leave cores idle.

    The lock is held wherever `waiting` or `running` are read or changed.
    """

    def __init__(
        self,
        places: int,
        lock: threading.Lock,
        waiting: WaitingRequests,
        deliver: Callable[[list[RunResult]], None],
        cores: CoreCounts | None = None,
    ) -> None:
        """Start a thread for each place; `deliver` is called on the event loop of the requests.

        Without `cores` nothing is known of other processes.
        """
        self.running: set[Batch] = set()
        self._places = places
        self._cores = cores
        self._borrowed = 0  # cores of others
        self._spare = max(MIN_SPARE_THREADS, places)
        self._lock, self._waiting, self._deliver = lock, waiting, deliver
        # One token for each idle thread that shall look for work; False ends a thread.
        self._tokens: SimpleQueue[bool] = SimpleQueue()
        self._idle = 0
        self._threads: set[threading.Thread] = set()
        for _ in range(places):
            self._start_thread(self._work)

    def wake(self) -> None:
        """Let an idle thread look for work, or a new one on an idle core; the caller holds the lock."""
        if self._idle:
            self._wake_idle()
        elif self._borrowed < MOST_BORROWED and self._cores is not None and self._cores.has_free():
            self._borrowed += 1
            self._start_thread(self._work_on_borrowed)

    @property
    def stuck(self) -> str | None:
        """Which runs cannot be ended, None if there are none."""
        with self._lock:
            labels = sorted({batch.model.label for batch in self.running if batch.is_stuck})
        return f"runs of {', '.join(labels)} do not end" if labels else None

    def check(self) -> None:
        """End the runs whose time is over, and start threads in the place of those that hold up others."""
        now = perf_counter()
        with self._lock:
            for batch in self.running:
                seconds, limit = now - batch.started, batch.model.config.run_seconds
                if seconds > limit and not batch.is_late:
                    _end_late(batch)
                if seconds > limit + STUCK_SECONDS:
                    self._give_up(batch)
            self._relieve(now)

    def close(self) -> None:
        """End the threads; what runs must have been told to end, and what is stuck is left behind."""
        for _ in range(self._places):
            self._tokens.put(False)
        end = monotonic() + STUCK_SECONDS
        for thread in list(self._threads):
            thread.join(max(0.0, end - monotonic()))

    def _wake_idle(self) -> None:
        if self._idle:
            self._idle -= 1
            self._tokens.put(True)

    def _start_thread(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name="adaptact-run", daemon=True)
        self._threads.add(thread)
        thread.start()

    def _work(self) -> None:
        has_place = True
        while has_place:
            with self._lock:
                batch = self._waiting.take(self._full_models())
                if batch is None:
                    self._idle += 1
                    self._publish()
                else:
                    self._begin(batch)
            if batch is not None:
                has_place = self._run(batch)
                # An idle thread must not keep a model that was unloaded.
                del batch
            elif not self._tokens.get():
                break
        self._threads.discard(threading.current_thread())

    def _work_on_borrowed(self) -> None:
        """Run what waits as long as no other process needs the core."""
        assert self._cores is not None
        while True:
            with self._lock:
                batch = self._waiting.take(self._full_models()) if self._cores.has_free() else None
                if batch is None:
                    self._borrowed -= 1
                    break
                batch.has_place = False
                self._begin(batch)
            self._run(batch)
            del batch
        self._threads.discard(threading.current_thread())

    def _begin(self, batch: Batch) -> None:
        self.running.add(batch)
        self._publish()

    def _publish(self) -> None:
        if self._cores is not None:
            self._cores.publish(len(self.running))

    def _run(self, batch: Batch) -> bool:
        """Whether the thread still has its place after the run."""
        results = run_batch(batch)
        with self._lock:
            self.running.discard(batch)
            if not batch.has_place:
                self._publish()  # else its thread has the core until it finds nothing to run
            # A batch and its requests hold each other, and so tensors, until garbage is collected.
            first, batch.requests = batch.requests[0], ()
            if not batch.has_place:
                self._wake_idle()
        if batch.is_stuck:
            log.warning("%s: a run that was given up has ended", batch.model.label)
        first.loop_calls.call_soon(self._deliver, results)
        return batch.has_place

    def _full_models(self) -> set[ServedModel]:
        """The models that have as many runs as there are places, and get no more."""
        places = self._places + self._borrowed
        if len(self.running) < places:
            return set()
        counts = Counter(batch.model for batch in self.running)
        return {model for model, count in counts.items() if count >= places}

    def _relieve(self, now: float) -> None:
        """Start a thread for what waits, if every place is taken and one of them for long."""
        in_place = [batch for batch in self.running if batch.has_place]
        if len(in_place) == self._places and self._waiting.can_run(self._full_models()):
            longest = min(in_place, key=lambda batch: batch.started)
            if now - longest.started > LASTING_SECONDS:
                self._replace_thread(longest)

    def _give_up(self, batch: Batch) -> None:
        """Leave the run, which was told to end and did not, to itself."""
        if not batch.is_stuck:
            batch.is_stuck = True
            log.error("%s: a run that was told to end does not; its thread is given up", batch.model.label)
        if batch.has_place:
            self._replace_thread(batch)

    def _replace_thread(self, batch: Batch) -> None:
        """Start a thread in place of the batch's, which ends with its run; unless too many were replaced."""
        if sum(not other.has_place for other in self.running) < self._spare:
            batch.has_place = False
            self._start_thread(self._work)


def _end_late(batch: Batch) -> None:
    """Answer the batch's requests, and end its run."""
    batch.is_late = True
    limit = batch.model.config.run_seconds
    batch.stop(DeadlineExceededError(f"{batch.model.label}: ran {limit:g} s, which is its limit"))
