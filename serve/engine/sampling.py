"""Which requests are looked at more closely: all of them at low traffic, a random share above it.

A request is chosen before it runs, by chance alone: whether it is chosen depends neither on what answers it
nor on what comes of it. So among those that are chosen, errors, NaN, classes and latencies have the same
distribution as among all, and tests of them hold as they are; only their requests are fewer. To choose each
failure and a share of the rest would not do: it would multiply the rates, and what makes a tenth of rare
errors harmless would make half of frequent ones look alike.
"""

from math import log, log1p
from random import random

MOST_GROWTH = 2.0
"""Of the share from one renewal to the next."""


class Sampler:
    """Chooses requests on one thread; another one renews the share."""

    def __init__(self, per_second: float, most_at_once: float) -> None:
        """So many a second, and at most so many between two renewals; all until the first one."""
        self.share = 1.0
        """The chance of a request to be chosen."""
        self.to_pass = 0
        """How many requests are passed over before the next one is chosen: by chance, so that each is chosen
        with the chance of the share. Whoever counts them down spares most requests a call."""
        self._per_second = per_second
        self._most_at_once = most_at_once
        self._drawn = 0

    def choose(self) -> bool:
        """Whether this request is chosen."""
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
