"""95 % intervals of shares, differences and means, and a test of two models on the same samples."""

import math
import warnings
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from adaptive_act.explain.arrays import Numbers

LEVEL = 0.95
RESAMPLES = 1000
_AT_ONCE = 4_000_000  # numbers: 32 MB


@dataclass(frozen=True, slots=True)
class Interval:
    """A measured value and its bounds at confidence LEVEL."""

    value: float
    low: float
    high: float


def wilson_interval(count: int, of: int) -> Interval:
    """The share count / of, with Wilson's score interval.

    Our own: scipy gives the same, but its import would add 0.5 s to every export.

    Source: Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953
    """
    share = count / of
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    middle = share + z**2 / (2 * of)
    reach = z * math.sqrt(share * (1 - share) / of + z**2 / (4 * of**2))
    # At no case and at every case the formula gives 0 and 1, but for rounding.
    low = 0.0 if count == 0 else (middle - reach) / (1 + z**2 / of)
    high = 1.0 if count == of else (middle + reach) / (1 + z**2 / of)
    return Interval(share, low, high)


def newcombe_interval(gained: int, lost: int, both: int, neither: int) -> Interval:
    """The change of a share when `gained` cases come to be right and `lost` wrong, with Newcombe's interval.

    Where nothing changed, the interval still has a width, as it should for few cases.

    Source: Newcombe 1998, method 10, https://doi.org/10.1002/(SICI)1097-0258(19981130)17:22%3C2635::AID-SIM954%3E3.0.CO;2-C
    """
    of = gained + lost + both + neither
    after, before = wilson_interval(both + gained, of), wilson_interval(both + lost, of)
    together = _correlation(gained, lost, both, neither)
    change = (gained - lost) / of

    def reach(near: float, far: float) -> float:
        return float(np.sqrt(max(near**2 - 2 * together * near * far + far**2, 0.0)))

    below = reach(after.value - after.low, before.high - before.value)
    above = reach(after.high - after.value, before.value - before.low)
    return Interval(change, change - below, change + above)


def mcnemar_p(gained: int, lost: int) -> float:
    """The exact two-sided p of gains and losses being equally likely; 1 where there are none.

    Source: McNemar 1947, https://doi.org/10.1007/BF02295996
    """
    from scipy.stats import binomtest  # noqa: PLC0415  # costs 0.5 s to import

    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


def bootstrap_means(values: Numbers, seed: int, resamples: int = RESAMPLES) -> list[Interval]:
    """The mean of each column of `values` [n, k] with its percentile bootstrap interval.

    All columns are resampled alike. Values that are not finite give an interval of NaN.

    Source: Efron 1979, https://doi.org/10.1214/aos/1176344552
    """
    mean = values.mean(0)
    if len(values) == 1:  # nothing to draw from, which scipy refuses
        return [Interval(value, value, value) for value in map(float, mean)]
    from scipy.stats import DegenerateDataWarning, bootstrap  # noqa: PLC0415  # costs 0.5 s to import

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)  # of NaN, which is the right interval here
        bounds: Any = bootstrap(
            (values,),
            np.mean,
            n_resamples=resamples,
            batch=max(_AT_ONCE // values.size, 1),
            confidence_level=LEVEL,
            method="percentile",
            rng=np.random.default_rng(seed),
        ).confidence_interval
    columns = zip(mean, bounds.low, bounds.high, strict=True)
    return [Interval(*map(float, column)) for column in columns]


def _correlation(gained: int, lost: int, both: int, neither: int) -> float:
    """Newcombe's φ, with his correction for continuity."""
    margins = (both + gained) * (neither + lost) * (both + lost) * (neither + gained)
    if margins == 0:
        return 0.0
    product = both * neither - gained * lost
    half = (gained + lost + both + neither) / 2
    corrected = max(product - half, 0.0) if product > 0 else product
    return float(corrected / np.sqrt(float(margins)))
