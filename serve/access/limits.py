"""How often a client may send requests: a token bucket for each client, filled at its own rate.

A bucket is stored as one number, the time when it will be full. So several processes can count together, in
shared memory and by the machine's clock.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from hashlib import blake2b
from mmap import mmap
from time import monotonic

from serve.access.errors import ClientLimitError

BURST_SECONDS = 1.0
# A set-associative table: the name decides the set, so that a client is found in a few slots.
SETS, SLOTS = 2048, 8
MOST_CLIENTS = SETS * SLOTS
NUMBER_BYTES = 8
MEMORY_BYTES = 2 * NUMBER_BYTES * MOST_CLIENTS


class ClientLimits:
    """The requests that each client has left; beyond MOST_CLIENTS the fullest buckets are dropped."""

    def __init__(
        self,
        memory: mmap | None = None,
        lock: AbstractContextManager[object] | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Count alone, or in MEMORY_BYTES of shared memory, zeros at first, under a shared `lock`."""
        numbers = memoryview(mmap(-1, MEMORY_BYTES) if memory is None else memory)
        half = NUMBER_BYTES * MOST_CLIENTS
        self._clients, self._full_at = numbers[:half].cast("Q"), numbers[half:].cast("d")
        self._lock = lock or nullcontext()
        self._clock = clock

    def take(self, client: str, per_second: float) -> None:
        """Count one request; raises `ClientLimitError` if the client has none left. 0 is no limit."""
        if not per_second:
            return
        most = max(1.0, per_second * BURST_SECONDS)
        with self._lock:
            slot, now = self._find_slot(client), self._clock()
            full_at = max(now, self._full_at[slot])
            left = most - (full_at - now) * per_second
            if left >= 1:
                self._full_at[slot] = full_at + 1 / per_second
                return
        raise ClientLimitError(
            f"more than {per_second:g} requests a second, which is this client's limit",
            (1 - left) / per_second,
        )

    def _find_slot(self, client: str) -> int:
        """The slot of the client's bucket; a new client takes that of the fullest bucket in its set."""
        number = int.from_bytes(blake2b(client.encode(), digest_size=NUMBER_BYTES).digest()) or 1
        first = number % SETS * SLOTS
        slots = slice(first, first + SLOTS)
        clients = self._clients[slots].tolist()
        if number in clients:
            return first + clients.index(number)
        times = self._full_at[slots].tolist()
        slot = first + times.index(min(times))
        self._clients[slot], self._full_at[slot] = number, 0.0
        return slot
