"""The range of a value that is rounded to 256 steps: the one with the least mean squared error.

A wide range makes every step coarse, a narrow one cuts off what lies beyond. The error of a range from `low`
to `high` is that of rounding, step²/12 for every number but 0, which is a step of every range, and the
squares of what is cut off. Where data are few, or single numbers decide, all that is cut off costs too much,
and the range holds all numbers.
"""

from math import comb

import numpy as np

from convert.model_io.array import Array
from convert.precision.distributions import Distribution

ROOM = 1.2
"""The factor by which a whole range exceeds the data, which rarely hold the extremes that will be met."""
STEPS = 255
POWER = 2
SHARES = np.linspace(0.1, 1.0, 91)
"""The ends that are tried, as shares of the least and the largest number."""


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
