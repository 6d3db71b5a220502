"""The queue of long runs: a fixed number of threads, shared by all models, off the event loop.

No request waits for others to join: it runs at once if a thread is free. The requests that have arrived when
a thread becomes free are joined into its next run.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from queue import SimpleQueue
from time import perf_counter

from serve.engine.admission import Admission
from serve.engine.batch import Batch, QueuedRequest, RunResult, make_join_key, run_batch
from serve.engine.errors import DeadlineExceededError, EngineError, ModelUnavailableError, QueueFullError
from serve.engine.joining import count_rows
from serve.engine.model import ServedModel
from serve.engine.signature import Array, count_elements


class RunQueue:
    """Threads that run the waiting requests; the model of the oldest request goes first."""

    def __init__(self, threads: int) -> None:
        """Start the threads; they sleep until there is something to run."""
        self._lock = threading.Lock()
        self._waiting: dict[ServedModel, dict[QueuedRequest, None]] = {}
        self._running: set[Batch] = set()
        self._admission = Admission(threads)
        # One for each request; a thread that takes one may find that its request was joined by another.
        self._tokens: SimpleQueue[bool] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"adaptact-run-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

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
        request = QueuedRequest(
            model, inputs, outputs, rows, loop.create_future(), perf_counter(), key, seconds
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

    def refuse(self, model: ServedModel) -> QueueFullError | None:
        """The refusal of a further request to the model that has no timeout; None if it may wait.

        It costs less than a microsecond, so that refusing costs little, and takes no lock: `run` decides.
        """
        return self._admission.refuse(model, len(self._waiting.get(model, ())))

    def count_pending(self, model: ServedModel | None = None) -> int:
        """The number of requests that wait or run, of the model or of all."""
        with self._lock:
            return sum(1 for request in self._requests() if model in (None, request.model))

    def count_waiting(self, model: ServedModel) -> int:
        """The number of waiting requests of the model."""
        with self._lock:
            return len(self._waiting.get(model, ()))

    def stop(self, model: ServedModel | None = None) -> None:
        """End waiting and running requests, of the model or of all, with an error."""
        with self._lock:
            for batch in self._running:
                if model in (None, batch.model):
                    batch.stop()
            stopped = [
                request
                for request in self._requests()
                if request.batch is None and model in (None, request.model)
            ]
            for request in stopped:
                self._remove(request)
        for request in stopped:
            error = ModelUnavailableError(f"{request.model.label} was stopped before the request's turn came")
            _call_soon(request, _fail, request, error)

    def close(self) -> None:
        """End everything, and the threads."""
        self.stop()
        for _ in self._threads:
            self._tokens.put(False)
        for thread in self._threads:
            thread.join()

    def _requests(self) -> Iterator[QueuedRequest]:
        for waiting in self._waiting.values():
            yield from waiting
        for batch in self._running:
            yield from batch.requests

    def _enqueue(self, request: QueuedRequest, timeout_seconds: float | None) -> None:
        with self._lock:
            waiting = self._waiting.get(request.model, ())
            refusal = self._admission.refuse(request.model, len(waiting), timeout_seconds)
            if refusal is None:
                self._waiting.setdefault(request.model, {})[request] = None
                self._admission.add(request.seconds)
        if refusal is not None:
            raise refusal
        self._tokens.put(True)

    def _remove(self, request: QueuedRequest) -> None:
        """Remove the request from the waiting ones; the caller holds the lock."""
        waiting = self._waiting.get(request.model, {})
        if request in waiting:
            del waiting[request]
            self._admission.remove(request.seconds)
        if not waiting:
            self._waiting.pop(request.model, None)

    def _withdraw(self, request: QueuedRequest) -> bool:
        """Whether the request still waited; if it runs, end the run unless other requests share it."""
        with self._lock:
            request.is_abandoned = True
            if request.batch is None:
                self._remove(request)
                return True
            if all(other.is_abandoned for other in request.batch.requests):
                request.batch.stop()
            return False

    def _time_out_waiting(self, request: QueuedRequest) -> None:
        """Refuse the request if it still waits."""
        with self._lock:
            if request.batch is not None:
                return
            self._remove(request)
        limit = request.model.config.queue_seconds
        _fail(
            request, DeadlineExceededError(f"{request.model.label}: waited {limit:g} s, which is its limit")
        )

    def _time_out(self, request: QueuedRequest, seconds: float) -> None:
        """End the request, whether it waits or runs, with an error."""
        activity = "waiting" if self._withdraw(request) else "running"
        message = f"{request.model.label}: the request's {seconds:g} s were over while it was {activity}"
        _fail(request, DeadlineExceededError(message))

    def _take(self) -> Batch | None:
        """The next batch: the oldest request, and the requests that it can be joined with."""
        with self._lock:
            if not self._waiting:
                return None
            # The requests of one model are in the order in which they came.
            first = min(
                (next(iter(queue)) for queue in self._waiting.values()), key=lambda oldest: oldest.arrived
            )
            requests, rows = [first], first.rows
            for other in self._waiting[first.model] if first.join_key else ():
                if other is not first and other.join_key == first.join_key:
                    if rows + other.rows > first.model.config.batch_rows:
                        break
                    requests.append(other)
                    rows += other.rows
            batch = Batch(first.model, requests)
            for request in requests:
                request.batch = batch
                self._remove(request)
            self._running.add(batch)
            return batch

    def _work(self) -> None:
        while self._tokens.get():
            batch = self._take()
            if batch is None:
                continue
            results = run_batch(batch)
            first = batch.requests[0]
            with self._lock:
                self._running.discard(batch)
                # A batch and its requests hold each other, and so tensors, until garbage is collected.
                batch.requests = ()
            _call_soon(first, _deliver, results)
            # An idle thread must not keep a model that was unloaded.
            del batch, results, first


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
            observe(elements[0], result.running)
            cost.observe_queued(sum(elements), result.running)
        for request, answer in zip(result.requests, result.answers, strict=True):
            if isinstance(answer, EngineError):
                _fail(request, answer)
            elif not request.future.done():
                request.future.set_result(answer)


def _fail(request: QueuedRequest, error: EngineError) -> None:
    if not request.future.done():
        request.future.set_exception(error)


def _call_soon(request: QueuedRequest, call: Callable[..., None], *arguments: object) -> None:
    """Call it on the request's event loop, unless that loop is closed."""
    with suppress(RuntimeError):
        request.future.get_loop().call_soon_threadsafe(call, *arguments)
