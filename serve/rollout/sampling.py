"""Of which requests the answers are kept: of all at low traffic, of a random share above it.

A kept answer costs some 25 microseconds of processor time and a row of the store, where guardrails need some
hundred of each variant. A request is chosen before its variant runs, by chance alone: whether it is kept
depends neither on the variant nor on what comes of it. So among those that are kept, errors, NaN, classes and
latencies have the same distribution in each variant as among all, and the sequential tests hold as they are;
only their requests are fewer. To keep each failure and a share of the rest would not do: it would multiply
the rates, and what makes a tenth of rare errors harmless would make half of frequent ones look alike.
"""

from math import log, log1p
from random import random

KEPT_PER_SECOND = 100.0
"""In each process: a quarter of a per cent of its processor time, and eight million a day."""
MOST_AT_ONCE = 60
"""Between two renewals, so that bursts of traffic do not flood the store."""
MOST_GROWTH = 2.0
"""Of the share from one renewal to the next."""


class Sampler:
    """Chooses requests on one thread; another one renews the share."""

    def __init__(self, per_second: float = KEPT_PER_SECOND, most_at_once: float = MOST_AT_ONCE) -> None:
        """Of all requests until the first renewal."""
        self.share = 1.0
        """The chance of a request to be chosen."""
        self.to_pass = 0
        """How many requests are passed over before the next one is chosen: by chance, so that each is chosen
        with the chance of the share. Whoever counts them down spares most requests a call."""
        self._per_second = per_second
        self._most_at_once = most_at_once
        self._drawn = 0

    def choose(self) -> bool:
        """Whether the answer to this request is kept."""
        if self.to_pass > 0:
            self.to_pass -= 1
            return False
        self.to_pass = self._draw_gap()
        self._drawn += 1
        return self._drawn <= self._most_at_once

    def renew(self, seconds: float) -> None:
        """Set the share by what was asked in the time since the last renewal."""
        drawn, self._drawn = self._drawn, 0
        wanted = self._per_second * seconds * self.share / drawn if drawn else 1.0
        self.share = min(wanted, MOST_GROWTH * self.share, 1.0)
        self.to_pass = self._draw_gap()  # anew: how many were passed over before says nothing of the rest

    def _draw_gap(self) -> int:
        """A number of the geometric distribution: how often chance fails before it chooses."""
        return 0 if self.share >= 1.0 else int(log(1.0 - random()) / log1p(-self.share))
