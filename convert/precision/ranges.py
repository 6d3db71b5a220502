"""Ways of choosing the range of a value that is rounded to 256 steps; each is a function of its distribution.

The usual one has the least mean squared error of the value itself. A wide range makes every step coarse, a
narrow one cuts off what lies beyond. The error of a range from `low` to `high` is that of rounding, step²/12
for every number but 0, which is a step of every range, and the squares of what is cut off. Where data are
few, or single numbers decide, all that is cut off costs too much, and the range holds all numbers.

What counts is the error of the outputs, for which others may be better: one that holds all numbers, one that
cuts off a fixed share of them, and one that changes their distribution least, by the divergence of Kullback
and Leibler (S. Migacz, 8-bit inference with TensorRT, 2017). See static_ways.
"""

from collections.abc import Callable, Mapping
from math import comb

import numpy as np

from convert.model_io.array import Array
from convert.precision.distributions import Distribution

ROOM = 1.2
"""The factor by which a whole range exceeds the data, which rarely hold the extremes that will be met."""
STEPS = 255
LEAST_SIGNED, LARGEST_SIGNED = 128, 127
"""The steps below and above 0 of a symmetric range."""
POWER = 2
SHARES = np.linspace(0.1, 1.0, 91)
"""The ends that are tried, as shares of the least and the largest number."""
PERCENTILE = 0.9999
"""The share of the numbers that a range of a percentile holds."""
BINS = 1024
"""The bins on each side of 0 of the histogram whose divergence is measured."""
_BIN_STEP = 4
_NOTHING = 1e-4  # of a bin that is empty in one distribution only: its logarithm has to be finite

RangeMethod = Callable[[Distribution], tuple[float, float]]
"""Chooses a range that includes 0."""


def hold_known(distribution: Distribution) -> tuple[float, float]:
    """The range of all numbers, which includes 0."""
    return _find_ends(distribution)


def hold_all(distribution: Distribution) -> tuple[float, float]:
    """The range of all numbers and ROOM beyond them, which includes 0."""
    low, high = _find_ends(distribution)
    return low * ROOM, high * ROOM


def choose_range(distribution: Distribution) -> tuple[float, float]:
    """The range with the least error, which includes 0."""
    low, high = _find_ends(distribution)
    numbers = distribution.numbers[np.isfinite(distribution.numbers)].astype(np.float64)
    if not numbers.size or high == low:
        return low, high
    largest = max(high, -low)  # the squares of its shares do not overflow
    weights = np.full(numbers.size, 1 / numbers.size)
    # The extremes may not be among the numbers that were drawn.
    numbers = np.append(numbers, (low, high)) / largest
    weights = np.append(weights, [1 / distribution.count] * 2)
    lows, highs = low / largest * SHARES, high / largest * SHARES
    widths = highs[None, :] - lows[:, None]
    rounding = (widths / STEPS) ** POWER / 12 * weights[numbers != 0].sum()
    cut = _sum_tails(-numbers, weights, -lows)[:, None] + _sum_tails(numbers, weights, highs)[None, :]
    first, last = np.unravel_index(np.argmin(rounding + cut), widths.shape)
    return float(low * SHARES[first]), float(high * SHARES[last])


def choose_percentile(distribution: Distribution) -> tuple[float, float]:
    """The range that holds PERCENTILE of the numbers, and cuts off as many at each end."""
    low, high = _find_ends(distribution)
    numbers = distribution.numbers[np.isfinite(distribution.numbers)].astype(np.float64)
    if not numbers.size:
        return low, high
    first, last = np.quantile(numbers, ((1 - PERCENTILE) / 2, (1 + PERCENTILE) / 2))
    return min(float(first), 0.0), max(float(last), 0.0)


def choose_by_divergence(distribution: Distribution) -> tuple[float, float]:
    """The range between -x and x, or the ends, that changes the distribution of the numbers least."""
    low, high = _find_ends(distribution)
    largest = max(high, -low)
    numbers = distribution.numbers[np.isfinite(distribution.numbers)].astype(np.float64)
    if not numbers.size or not largest:
        return low, high
    counts = np.histogram(numbers / largest, 2 * BINS + 1, (-1, 1))[0].astype(np.float64)
    reaches = range(STEPS // 2, BINS + 1, _BIN_STEP)
    best = min(reaches, key=lambda reach: _measure_divergence(counts, reach))
    end = largest * (2 * best + 1) / (2 * BINS + 1)
    return max(low, -end), min(high, end)


def widen_to_symmetric(low: float, high: float) -> tuple[float, float]:
    """The least range that holds the given one and where 0 is the middle of 256 steps; as it is from 0 on.

    It ends with the numbers of float32.
    """
    if low >= 0:
        return low, high
    largest = float(np.finfo(np.float32).max)
    step = min(max(-low / LEAST_SIGNED, high / LARGEST_SIGNED), largest / LEAST_SIGNED)
    return -LEAST_SIGNED * step, LARGEST_SIGNED * step


NAMES: Mapping[RangeMethod, str] = {
    choose_range: "least-error",
    hold_known: "all",
    choose_percentile: "percentile",
    choose_by_divergence: "divergence",
    hold_all: "all-and-room",
}
"""What the manifest calls each way."""


def _measure_divergence(counts: Array, reach: int) -> float:
    """Of the numbers within so many bins of 0, the others at its ends, from the same in STEPS steps."""
    middle = len(counts) // 2
    inner = counts[middle - reach : middle + reach + 1]
    exact = inner.copy()
    exact[0] += counts[: middle - reach].sum()
    exact[-1] += counts[middle + reach + 1 :].sum()
    width = len(inner) // STEPS
    steps = np.minimum(np.arange(len(inner)) // width, STEPS - 1)
    filled = exact > 0
    used = np.maximum(np.bincount(steps, filled, STEPS), 1)
    rounded = np.where(filled, (np.bincount(steps, inner, STEPS) / used)[steps], 0)
    shares = [np.maximum(bins, _NOTHING) / np.maximum(bins, _NOTHING).sum() for bins in (exact, rounded)]
    return float((shares[0] * np.log(shares[0] / shares[1])).sum())


def _find_ends(distribution: Distribution) -> tuple[float, float]:
    """The least and the largest finite number, or 0: attention hides places behind infinities."""
    finite = distribution.numbers[np.isfinite(distribution.numbers)]
    least, largest = finite.min(initial=0), finite.max(initial=0)
    low = distribution.low if np.isfinite(distribution.low) else least
    high = distribution.high if np.isfinite(distribution.high) else largest
    return min(float(low), 0.0), max(float(high), 0.0)


def _sum_tails(numbers: Array, weights: Array, ends: Array) -> Array:
    """For each end the weighted sum of (number - end)² over the numbers beyond it."""
    order = np.argsort(numbers)
    ordered, places = numbers[order], np.searchsorted(numbers[order], ends, side="right")
    result: Array = np.zeros_like(ends)
    for power in range(POWER + 1):
        sums = np.append(np.cumsum((weights[order] * ordered**power)[::-1])[::-1], 0.0)
        result += comb(POWER, power) * (-ends) ** (POWER - power) * sums[places]
    return np.maximum(result, 0)
