"""The requests that wait for a thread, and which of them run next."""

from collections.abc import Collection, Iterator
from time import perf_counter

from serve.engine.admission import Admission
from serve.engine.batch import Batch, QueuedRequest
from serve.engine.errors import QueueFullError
from serve.engine.joining import count_few
from serve.engine.model import ServedModel


class WaitingRequests:
    """The requests of each model in the order in which they came; for one thread at a time."""

    def __init__(self, threads: int) -> None:
        """Nothing waits for the threads."""
        self._by_model: dict[ServedModel, dict[QueuedRequest, None]] = {}
        self._admission = Admission(threads)

    def __iter__(self) -> Iterator[QueuedRequest]:
        for requests in self._by_model.values():
            yield from requests

    def count(self, model: ServedModel) -> int:
        """The number of waiting requests of the model."""
        return len(self._by_model.get(model, ()))

    def refuse(self, model: ServedModel, timeout_seconds: float | None = None) -> QueueFullError | None:
        """The refusal of a further request to the model; None if it may wait."""
        return self._admission.refuse(model, self.count(model), timeout_seconds)

    def add(self, request: QueuedRequest) -> None:
        """The request waits behind the others of its model."""
        self._by_model.setdefault(request.model, {})[request] = None
        request.expected = self._admission.add(request.seconds)

    def remove(self, request: QueuedRequest) -> None:
        """The request waits no longer, if it did."""
        requests = self._by_model.get(request.model, {})
        if request in requests:
            del requests[request]
            self._admission.remove(request.seconds)
        if not requests:
            self._by_model.pop(request.model, None)

    def can_run(self, full: Collection[ServedModel]) -> bool:
        """Whether a request waits for another model than these."""
        return any(model not in full for model in self._by_model)

    def take(self, full: Collection[ServedModel]) -> Batch | None:
        """The oldest request of another model than these, with the requests that it can be joined with."""
        # The requests of one model are in the order in which they came.
        oldest = [next(iter(requests)) for model, requests in self._by_model.items() if model not in full]
        if not oldest:
            return None
        first = min(oldest, key=lambda request: request.arrived)
        waiting = self._by_model[first.model]
        most = count_few(len(waiting), first.seconds) if first.model.joins_few else len(waiting)
        requests, rows = [first], first.rows
        for other in waiting if first.join_key else ():
            if len(requests) >= most:
                break
            if other is not first and other.join_key == first.join_key:
                if rows + other.rows > first.model.config.batch_rows:
                    break
                requests.append(other)
                rows += other.rows
        batch = Batch(first.model, requests)
        self._admission.observe(first.expected, perf_counter() - first.arrived)
        for request in requests:
            request.batch = batch
            self.remove(request)
        return batch
