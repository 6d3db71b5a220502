"""Long runs, off the event loop: so many at once, of all models together, and the rest wait their turn.

Nothing waits for company: what finds a thread free runs at once, and what has come by the time that a thread
becomes free is joined into its next run.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from queue import SimpleQueue
from time import perf_counter

from serve.engine.batch import Batch, Ran, Request, kind_of, run_batch
from serve.engine.errors import DeadlineExceededError, EngineError, ModelUnavailableError, QueueFullError
from serve.engine.joining import rows_of
from serve.engine.model import ServedModel
from serve.engine.signature import Array, elements


class Runner:
    """Threads that run what waits: the model whose request came first goes first."""

    def __init__(self, threads: int) -> None:
        """Start the threads; they sleep until there is something to run."""
        self._lock = threading.Lock()
        self._waiting: dict[ServedModel, dict[Request, None]] = {}
        self._running: set[Batch] = set()
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
        """The named outputs, once it was the request's turn; whoever is cancelled leaves, and its run ends.

        Raises `QueueFullError`, `DeadlineExceededError`, or what the run raises.
        """
        loop = asyncio.get_running_loop()
        kind = kind_of(model, inputs, outputs, loop) if model.joins else None
        request = Request(model, inputs, outputs, rows_of(inputs), loop.create_future(), perf_counter(), kind)
        self._enqueue(request)
        timers = [loop.call_later(model.config.queue_seconds, self._tire, request)]
        if timeout_seconds is not None:
            timers.append(loop.call_later(timeout_seconds, self._expire, request, timeout_seconds))
        try:
            return await request.future
        finally:
            for timer in timers:
                timer.cancel()
            if request.future.cancelled():
                self._withdraw(request)

    def pending(self, model: ServedModel | None = None) -> int:
        """How many requests wait or run, of the model or of all."""
        with self._lock:
            return sum(1 for each in self._requests() if model in (None, each.model))

    def waiting(self, model: ServedModel) -> int:
        """How many requests of the model wait for their turn."""
        with self._lock:
            return len(self._waiting.get(model, ()))

    def stop(self, model: ServedModel | None = None) -> None:
        """End what waits and what runs, of the model or of all, with an error."""
        with self._lock:
            for batch in self._running:
                if model in (None, batch.model):
                    batch.stop()
            stopped = [
                each for each in self._requests() if each.batch is None and model in (None, each.model)
            ]
            for request in stopped:
                self._remove(request)
        for request in stopped:
            error = ModelUnavailableError(
                f"{request.model.called} was stopped before the request's turn came"
            )
            _soon(request, _fail, request, error)

    def close(self) -> None:
        """End everything, and the threads."""
        self.stop()
        for _ in self._threads:
            self._tokens.put(False)
        for thread in self._threads:
            thread.join()

    def _requests(self) -> Iterator[Request]:
        for waiting in self._waiting.values():
            yield from waiting
        for batch in self._running:
            yield from batch.requests

    def _enqueue(self, request: Request) -> None:
        model, limit = request.model, request.model.config.queue_length
        with self._lock:
            waiting = self._waiting.setdefault(model, {})
            full = len(waiting) >= limit
            if not full:
                waiting[request] = None
        if full:
            seconds = model.metrics.run_seconds * limit / len(self._threads)
            message = f"{model.called} has {limit} requests waiting, which is its limit; try again later"
            raise QueueFullError(message, max(1.0, seconds))
        self._tokens.put(True)

    def _remove(self, request: Request) -> None:
        """Take the request from those that wait; with the lock held."""
        waiting = self._waiting.get(request.model, {})
        waiting.pop(request, None)
        if not waiting:
            self._waiting.pop(request.model, None)

    def _withdraw(self, request: Request) -> bool:
        """Whether the request still waited; where it runs, the run ends unless others wait for it too."""
        with self._lock:
            request.gone = True
            if request.batch is None:
                self._remove(request)
                return True
            if all(each.gone for each in request.batch.requests):
                request.batch.stop()
            return False

    def _tire(self, request: Request) -> None:
        """Refuse the request if it still waits."""
        with self._lock:
            if request.batch is not None:
                return
            self._remove(request)
        limit = request.model.config.queue_seconds
        _fail(
            request, DeadlineExceededError(f"{request.model.called}: waited {limit:g} s, which is its limit")
        )

    def _expire(self, request: Request, seconds: float) -> None:
        """Answer that the time is over; whatever the request was doing ends."""
        doing = "waiting" if self._withdraw(request) else "running"
        message = f"{request.model.called}: the request's {seconds:g} s were over while it was {doing}"
        _fail(request, DeadlineExceededError(message))

    def _take(self) -> Batch | None:
        """What runs next: the request that came first, and those of its kind that it can be joined with."""
        with self._lock:
            if not self._waiting:
                return None
            # Those of one model stand in the order in which they came.
            first = min((next(iter(each)) for each in self._waiting.values()), key=lambda each: each.arrived)
            requests, rows = [first], first.rows
            for other in self._waiting[first.model] if first.kind else ():
                if other is not first and other.kind == first.kind:
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
            ran = run_batch(batch)
            waiting = batch.requests[0]
            with self._lock:
                self._running.discard(batch)
                # A batch and its requests hold each other, and with them tensors, until the collector looks.
                batch.requests = ()
            _soon(waiting, _settle, ran)
            # An idle thread must not keep a model that was unloaded.
            del batch, ran, waiting


def _settle(ran: list[Ran]) -> None:
    """Count the runs, and give their answers to those who wait."""
    for each in ran:
        metrics = each.model.metrics
        served = [
            request
            for request, answer in zip(each.requests, each.answers, strict=True)
            if not isinstance(answer, EngineError)
        ]
        if served:
            metrics.count_run(each.rows, each.running, each.ended)
            answered = [request for request in served if not request.gone]
            metrics.count_joining(each.rows, each.joining, each.parting, len(answered))
            for request in answered:
                metrics.queue.observe(each.started - request.arrived)
                metrics.compute.observe(each.running)
            cost = each.model.cost
            observe = cost.observe if len(each.requests) == 1 else cost.observe_joined
            observe(elements(each.requests[0].inputs), each.running)
        for request, answer in zip(each.requests, each.answers, strict=True):
            if isinstance(answer, EngineError):
                _fail(request, answer)
            elif not request.future.done():
                request.future.set_result(answer)


def _fail(request: Request, error: EngineError) -> None:
    if not request.future.done():
        request.future.set_exception(error)


def _soon(request: Request, call: Callable[..., None], *arguments: object) -> None:
    """Call on the event loop that waits for the request; one that has ended waits for nothing."""
    with suppress(RuntimeError):
        request.future.get_loop().call_soon_threadsafe(call, *arguments)
