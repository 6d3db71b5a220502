"""A queue of records as bytes: it costs their bytes only, and putting one never waits."""

import threading


class PackedQueue:
    """At most `capacity` bytes of records, which one thread takes all at once; a record too many is lost.

    Both buffers are of full size from the beginning, so that none is ever copied to grow; memory is used up
    only as far as they were filled.
    """

    def __init__(self, capacity: int) -> None:
        self._filling, self._taken = bytearray(capacity), bytearray(capacity)
        self._capacity = capacity
        self._end = self._records = self._lost = 0
        self._lock = threading.Lock()

    def put(self, record: bytes) -> bool:
        """Whether there was room for the record; a record without room is counted as lost."""
        with self._lock:
            end = self._end + len(record)
            if end > self._capacity:
                self._lost += 1
                return False
            self._filling[self._end : end] = record
            self._end = end
            self._records += 1
        return True

    def take(self) -> tuple[memoryview, int]:
        """All records, in order, and how many there are; valid until the next call."""
        with self._lock:
            self._filling, self._taken = self._taken, self._filling
            end, records = self._end, self._records
            self._end = self._records = 0
        return memoryview(self._taken)[:end], records

    @property
    def waiting(self) -> int:
        """How many records there are."""
        return self._records

    @property
    def lost(self) -> int:
        """How many records found no room, since the beginning."""
        return self._lost
