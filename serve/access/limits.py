"""How often one client may ask: a bucket of tokens for each, filled at its own rate."""

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

from serve.access.errors import ClientLimitError

BURST_SECONDS = 1.0
MOST_CLIENTS = 10_000


class ClientLimits:
    """The requests that each client has left; of more than MOST_CLIENTS the longest silent are forgotten."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """Nobody has asked yet."""
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str, per_second: float) -> None:
        """Count one request; raises `ClientLimitError` if the client has none left. 0 is no limit."""
        if not per_second:
            return
        most = max(1.0, per_second * BURST_SECONDS)
        now = self._clock()
        left, then = self._left.pop(client, (most, now))
        left = min(most, left + (now - then) * per_second)
        self._left[client] = (left if left < 1 else left - 1), now
        if len(self._left) > MOST_CLIENTS:
            self._left.popitem(last=False)
        if left < 1:
            raise ClientLimitError(
                f"more than {per_second:g} requests a second, which is this client's limit",
                (1 - left) / per_second,
            )
