"""Refusals that come late: to connections that come back before the time that they were told.

Answered at once, such clients would take the processor from the requests that are accepted. A late refusal
costs no more than any other, and delays nobody else.
"""

from dataclasses import dataclass

FIRST_SECONDS = 1 / 8
GROWTH = 4
# Less than any time that clients are told, since a proxy's connection carries requests of many clients.
MAX_SECONDS = 0.5


@dataclass(eq=False, slots=True)
class LateRefusals:
    """How many refusals of this process are yet to come, and how many connections it may have."""

    connections: int
    count: int = 0

    @property
    def max_seconds(self) -> float:
        """The longest delay: less and less as soon as half of the connections wait for refusals.

        Else a proxy, which opens a connection where all that it has are in use, would soon have opened all.
        """
        return MAX_SECONDS * max(0.0, min(1.0, 2 - 2 * self.count / self.connections))


@dataclass(slots=True)
class RefusalPace:
    """How late the refusals of one connection are: later each time that it comes back too soon.

    It starts anew with each request that is accepted.
    """

    late: LateRefusals
    _told_until: float = 0.0
    _seconds: float = 0.0

    def delay(self, now: float, retry_seconds: float) -> float:
        """The seconds until a refusal that says to come again `retry_seconds` after it; 0 for at once."""
        if now < self._told_until:
            self._seconds = min(self.late.max_seconds, GROWTH * self._seconds or FIRST_SECONDS)
        else:
            self._seconds = 0.0
        self._told_until = now + self._seconds + retry_seconds
        return self._seconds
