"""Which requests may wait: those whose turn should come soon.

A limit on the number alone is too long for a slow model and too short for a quick one, so the time that a
request would wait is predicted, and the queue is kept at a target. Source: Nichols and Jacobson 2012,
Controlling Queue Delay, https://doi.org/10.1145/2208917.2209336.
"""

from serve.engine.errors import DeadlineExceededError, InvalidInputError, QueueFullError
from serve.engine.model import ServedModel

# So many requests of a model may wait for each thread however long it runs, since fewer clients are no crowd.
MIN_WAITING = 32
# Shorter waits say nothing: the runs that are in progress are not counted.
MIN_SECONDS = 0.01
FACTOR_WEIGHT = 0.05
MIN_FACTOR, MAX_FACTOR = 0.25, 8.0


class Admission:
    """The predicted run time of all that waits for the same threads, and whether more may wait."""

    def __init__(self, threads: int) -> None:
        """Nothing waits."""
        self._threads = threads
        self._requests = 0
        self._seconds = 0.0
        # How much longer requests wait than the runs before them take: other threads, other processes and
        # the operating system take their part, or idle cores help.
        self._factor = 1.0

    def add(self, seconds: float) -> float:
        """The seconds that the runs before it take of a request that begins to wait, and runs for so long."""
        expected = self._seconds / self._threads
        self._requests += 1
        self._seconds += seconds
        return expected

    def observe(self, expected: float, waited: float) -> None:
        """A request waited for so long, for which `add` had given the first number."""
        if expected >= MIN_SECONDS:
            measured = min(MAX_FACTOR, max(MIN_FACTOR, waited / expected))
            self._factor += FACTOR_WEIGHT * (measured - self._factor)

    def remove(self, seconds: float) -> None:
        """A request that was added with this time waits no longer."""
        self._requests -= 1
        self._seconds = self._seconds - seconds if self._requests else 0.0

    def refuse(
        self, model: ServedModel, waiting: int, timeout_seconds: float | None = None
    ) -> QueueFullError | None:
        """The refusal of a further request to the model, of which so many wait; None if it may wait.

        Where nothing waits it may, however long the model was seen to run: a wrong prediction must not last.
        """
        if not self._requests:
            return None
        config, seconds = model.config, self._factor * self._seconds / self._threads
        longest = config.queue_seconds if timeout_seconds is None else timeout_seconds
        if waiting >= config.queue_length:
            reason = f"has {config.queue_length} requests waiting, which is its limit"
        elif seconds > longest:
            reason = f"would run the request after more than the {longest:g} s that it may wait"
        elif waiting >= MIN_WAITING * self._threads and seconds > config.queue_target_seconds:
            reason = f"is asked more than it can answer within {config.queue_target_seconds:g} s"
        else:
            return None
        return QueueFullError(f"{model.label} {reason}; try again later", max(1.0, seconds))


def check_limits(model: ServedModel, rows: int, timeout_seconds: float | None) -> None:
    """Raise `InvalidInputError` for too many rows, `DeadlineExceededError` if the time is over."""
    limit = model.config.request_rows
    if limit and rows > limit:
        raise InvalidInputError(f"{model.label} takes at most {limit} rows in a request, got {rows}")
    if timeout_seconds is not None and timeout_seconds <= 0:
        raise DeadlineExceededError(f"{model.label}: the request's time was over when it came")
