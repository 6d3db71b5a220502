"""When a request is sent again, and after how long."""

from collections.abc import Callable
from dataclasses import dataclass

from serve.client.errors import ClientError


@dataclass(frozen=True, slots=True)
class Retry:
    """At most `attempts` in all, with pauses drawn from 0 to a bound that doubles from first to largest.

    Drawing from the whole range ("full jitter") spreads clients that were refused together. A server's own
    `Retry-After` is waited for on top, unless it is longer than `patience_seconds`; then the error is raised.
    """

    attempts: int = 5
    first_seconds: float = 0.1
    largest_seconds: float = 10.0
    patience_seconds: float = 60.0

    def pause_seconds(self, failed: int, error: ClientError, random: Callable[[], float]) -> float | None:
        """How long to wait after the failure of this number, from 1; None to raise the error."""
        if failed >= self.attempts:
            return None
        asked = error.retry_after_seconds or 0.0
        if asked > self.patience_seconds:
            return None
        bound = min(self.largest_seconds, self.first_seconds * 2.0 ** min(failed - 1, 64))
        return asked + random() * bound
