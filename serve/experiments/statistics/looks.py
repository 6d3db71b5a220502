"""What one look at the data says, and what all looks so far say together."""

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Values: TypeAlias = float | NDArray[np.float64]
"""A number, or an array of them, one for each of many experiments."""

Scale: TypeAlias = Literal["difference", "ratio"]


@dataclass(frozen=True, slots=True)
class Look:
    """One comparison of a candidate with the control: the effect, its interval, the evidence.

    `effect`, `low` and `high` are in the metric's unit where `scale` is `difference`, without unit where it
    is `ratio`; `low` and `high` are infinite (or 0 and infinite) where nothing can be said yet. `log_e` is
    the natural logarithm of the e-value against "no effect"; it reaches ln(1/alpha) exactly when the interval
    leaves out no effect. `control` and `candidate` are the values compared, `units` how many each is from.
    `of_failures` says that the values are shares of failures, although the metric counts successes.
    """

    effect: Values
    low: Values
    high: Values
    log_e: Values
    control: Values
    candidate: Values
    units: tuple[Values, Values]
    scale: Scale = "difference"
    of_failures: bool = False

    @property
    def no_effect(self) -> float:
        """The effect of two variants that are equal."""
        return 1.0 if self.scale == "ratio" else 0.0

    @property
    def is_decided(self) -> Values:
        """Whether the interval leaves out no effect."""
        return np.asarray((self.low > self.no_effect) | (self.high < self.no_effect))


@dataclass(frozen=True, slots=True)
class History:
    """What all looks so far say: the last effect, what all intervals have in common, the greatest evidence.

    Sequences are valid at all times at once, so both keep the level of a single look. Where the last effect
    lies outside what the intervals have in common, the data that earlier looks rested on were corrected, or
    the effect has changed: then only the last look counts. `is_steady` is False once two looks had no value
    in common.
    """

    effect: float
    low: float
    high: float
    log_e: float
    looks: int = 1
    is_steady: bool = True

    @classmethod
    def begin(cls, look: Look) -> "History":
        """The history of one look."""
        return cls(float(look.effect), float(look.low), float(look.high), float(look.log_e))

    def add(self, look: Look) -> "History":
        """This history and one more look."""
        last = History.begin(look)
        low, high = max(self.low, last.low), min(self.high, last.high)
        is_steady, looks = self.is_steady and low <= high, self.looks + 1
        if not is_steady or last.effect < low or high < last.effect:
            return replace(last, looks=looks, is_steady=is_steady)
        return History(last.effect, low, high, max(self.log_e, last.log_e), looks)
