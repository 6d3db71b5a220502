"""How often one client may ask: a bucket of tokens for each, filled at its own rate.

Of a bucket one number is kept: when it will be full. So several processes can count together, in memory that
all of them see, by a clock that is the machine's.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from hashlib import blake2b
from mmap import mmap
from time import monotonic

from serve.access.errors import ClientLimitError

BURST_SECONDS = 1.0
# A client's place is one of a few, which its name decides, so that it is found without looking at all.
ROWS, PLACES = 2048, 8
MOST_CLIENTS = ROWS * PLACES
NUMBER_BYTES = 8
MEMORY_BYTES = 2 * NUMBER_BYTES * MOST_CLIENTS


class ClientLimits:
    """The requests that each client has left; of too many clients those are forgotten that have most."""

    def __init__(
        self,
        memory: mmap | None = None,
        turn: AbstractContextManager[object] | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Count alone, or in MEMORY_BYTES of all who count together, zero at first.

        One of them counts at a time: who holds `turn`.
        """
        numbers = memoryview(mmap(-1, MEMORY_BYTES) if memory is None else memory)
        half = NUMBER_BYTES * MOST_CLIENTS
        self._clients, self._full_at = numbers[:half].cast("Q"), numbers[half:].cast("d")
        self._turn = turn or nullcontext()
        self._clock = clock

    def take(self, client: str, per_second: float) -> None:
        """Count one request; raises `ClientLimitError` if the client has none left. 0 is no limit."""
        if not per_second:
            return
        most = max(1.0, per_second * BURST_SECONDS)
        with self._turn:
            place, now = self._place(client), self._clock()
            full_at = max(now, self._full_at[place])
            left = most - (full_at - now) * per_second
            if left >= 1:
                self._full_at[place] = full_at + 1 / per_second
                return
        raise ClientLimitError(
            f"more than {per_second:g} requests a second, which is this client's limit",
            (1 - left) / per_second,
        )

    def _place(self, client: str) -> int:
        """Where the client's bucket is kept; a new one takes the place of its row's fullest."""
        number = int.from_bytes(blake2b(client.encode(), digest_size=NUMBER_BYTES).digest()) or 1
        first = number % ROWS * PLACES
        row = slice(first, first + PLACES)
        clients = self._clients[row].tolist()
        if number in clients:
            return first + clients.index(number)
        times = self._full_at[row].tolist()
        place = first + times.index(min(times))
        self._clients[place], self._full_at[place] = number, 0.0
        return place
