"""The queue of long runs: a fixed number of threads, shared by all models, off the event loop.

No request waits for others to join: it runs at once if a thread is free. The requests that have arrived when
a thread becomes free are joined into its next run.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from time import perf_counter
from weakref import WeakKeyDictionary

from serve.engine.batch import QueuedRequest, RunResult, make_join_key
from serve.engine.cores import CoreCounts
from serve.engine.errors import DeadlineExceededError, EngineError, ModelUnavailableError, QueueFullError
from serve.engine.joining import count_rows
from serve.engine.loop_calls import LoopCalls, PlainLoopCalls
from serve.engine.model import ServedModel
from serve.engine.run_threads import RunThreads
from serve.engine.signature import Array, count_elements
from serve.engine.waiting import WaitingRequests


class RunQueue:
    """Threads that run the waiting requests; the model of the oldest request goes first."""

    def __init__(self, threads: int, cores: CoreCounts | None = None) -> None:
        """Start the threads; they sleep until there is something to run.

        More run on the cores that the other processes leave idle; without `cores` there are none.
        """
        self._lock = threading.Lock()
        self._waiting = WaitingRequests(threads)
        self._threads = RunThreads(threads, self._lock, self._waiting, _deliver, cores)
        self._loop_calls: WeakKeyDictionary[asyncio.AbstractEventLoop, LoopCalls] = WeakKeyDictionary()

    @property
    def stuck(self) -> str | None:
        """Which runs cannot be ended, None if there are none."""
        return self._threads.stuck

    def check(self) -> None:
        """End the runs whose time is over; to be called regularly."""
        self._threads.check()

    async def run(
        self,
        model: ServedModel,
        inputs: Mapping[str, Array],
        outputs: tuple[str, ...],
        timeout_seconds: float | None,
    ) -> list[Array]:
        """The named outputs; a cancelled request leaves the queue or ends its run.

        Raises `QueueFullError`, `DeadlineExceededError`, or what the run raises.
        """
        loop = asyncio.get_running_loop()
        key = make_join_key(model, inputs, outputs, loop) if model.joins else None
        rows = count_rows(inputs)
        seconds = model.cost.predict_queued(count_elements(inputs))
        calls = self._calls_on(loop)
        request = QueuedRequest(
            model, inputs, outputs, rows, loop.create_future(), perf_counter(), calls, key, seconds
        )
        self._enqueue(request, timeout_seconds)
        timers = [loop.call_later(model.config.queue_seconds, self._time_out_waiting, request)]
        if timeout_seconds is not None:
            timers.append(loop.call_later(timeout_seconds, self._time_out, request, timeout_seconds))
        try:
            return await request.future
        finally:
            for timer in timers:
                timer.cancel()
            if request.future.cancelled():
                self._withdraw(request)
            # An error refers to this frame: without this they and the inputs stay until garbage is collected.
            del request

    def refuse(self, model: ServedModel) -> QueueFullError | None:
        """The refusal of a further request to the model that has no timeout; None if it may wait.

        It costs less than a microsecond, so that refusing costs little, and takes no lock: `run` decides.
        """
        return self._waiting.refuse(model)

    def count_pending(self, model: ServedModel | None = None) -> int:
        """The number of requests that wait or run, of the model or of all."""
        with self._lock:
            return sum(1 for request in self._requests() if model in (None, request.model))

    def count_waiting(self, model: ServedModel) -> int:
        """The number of waiting requests of the model."""
        with self._lock:
            return self._waiting.count(model)

    def count_running(self) -> Counter[ServedModel]:
        """The number of running requests of each model that has any."""
        with self._lock:
            return Counter(
                request.model
                for batch in self._threads.running
                if not batch.is_stuck
                for request in batch.requests
            )

    def stop(self, model: ServedModel | None = None) -> None:
        """End waiting and running requests, of the model or of all, with an error."""
        with self._lock:
            for batch in self._threads.running:
                if model in (None, batch.model):
                    batch.stop(
                        ModelUnavailableError(f"{batch.model.label} was stopped while the request ran")
                    )
            stopped = [request for request in self._waiting if model in (None, request.model)]
            for request in stopped:
                self._waiting.remove(request)
        for request in stopped:
            error = ModelUnavailableError(f"{request.model.label} was stopped before the request's turn came")
            request.loop_calls.call_soon(request.fail, error)

    def close(self) -> None:
        """End everything, and the threads; a run that cannot be ended is left behind."""
        self.stop()
        self._threads.close()

    def _calls_on(self, loop: asyncio.AbstractEventLoop) -> LoopCalls | PlainLoopCalls:
        calls = self._loop_calls.get(loop)
        if calls is None:
            try:
                calls = self._loop_calls[loop] = LoopCalls(loop)
            except OSError:  # connections have every file handle: the next request tries again
                return PlainLoopCalls(loop)
        return calls

    def _requests(self) -> Iterator[QueuedRequest]:
        yield from self._waiting
        for batch in self._threads.running:
            if not batch.is_stuck:  # then its requests have their answers
                yield from batch.requests

    def _enqueue(self, request: QueuedRequest, timeout_seconds: float | None) -> None:
        with self._lock:
            refusal = self._waiting.refuse(request.model, timeout_seconds)
            if refusal is None:
                self._waiting.add(request)
                self._threads.wake()
        if refusal is not None:
            raise refusal

    def _withdraw(self, request: QueuedRequest) -> bool:
        """Whether the request still waited; if it runs, end the run unless other requests share it."""
        with self._lock:
            request.is_abandoned = True
            if request.batch is None:
                self._waiting.remove(request)
                return True
            if all(other.is_abandoned for other in request.batch.requests):
                request.batch.stop()
            return False

    def _time_out_waiting(self, request: QueuedRequest) -> None:
        """Refuse the request if it still waits."""
        with self._lock:
            if request.batch is not None:
                return
            self._waiting.remove(request)
        limit = request.model.config.queue_seconds
        request.fail(DeadlineExceededError(f"{request.model.label}: waited {limit:g} s, which is its limit"))

    def _time_out(self, request: QueuedRequest, seconds: float) -> None:
        """End the request, whether it waits or runs, with an error."""
        activity = "waiting" if self._withdraw(request) else "running"
        message = f"{request.model.label}: the request's {seconds:g} s were over while it was {activity}"
        request.fail(DeadlineExceededError(message))


def _deliver(results: list[RunResult]) -> None:
    """Count the runs, and set the futures of their requests; on the event loop."""
    for result in results:
        metrics = result.model.metrics
        succeeded = [
            request
            for request, answer in zip(result.requests, result.answers, strict=True)
            if not isinstance(answer, EngineError)
        ]
        if succeeded:
            metrics.count_run(result.rows, result.running, result.ended)
            answered = [request for request in succeeded if not request.is_abandoned]
            metrics.count_joining(result.rows, result.joining, result.splitting, len(answered))
            for request in answered:
                metrics.queue.observe(result.started - request.arrived)
                metrics.compute.observe(result.running)
            cost = result.model.cost
            observe = cost.observe if len(result.requests) == 1 else cost.observe_joined
            elements = [count_elements(request.inputs) for request in result.requests]
            # Without the wait for Python's lock, which a busy event loop holds: runs would never seem short.
            observe(elements[0], result.used)
            cost.observe_queued(sum(elements), result.running)
        for request, answer in zip(result.requests, result.answers, strict=True):
            if isinstance(answer, EngineError):
                request.fail(answer)
            elif not request.future.done():
                request.future.set_result(answer)
