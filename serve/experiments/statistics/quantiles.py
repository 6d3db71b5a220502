"""Quantiles of two variants compared by counts in buckets, whatever the distribution.

Of the values, the share p is at or below the p-quantile, so the counts at or below a value x and above it
are evidence against x being the quantile. Two variants have the same quantile if there is one x that the
evidence of neither speaks against: E = min over x of E_control(x) * E_candidate(x). Where x lies inside a
bucket, or many values are equal, the count is only known to be between two numbers, and the one that speaks
least against x is taken; so the results hold to within a bucket, 2 %.

Source: Howard & Ramdas 2022, https://arxiv.org/abs/1906.09712.
"""

import numpy as np
from numpy.typing import NDArray

from serve.experiments.statistics.beta_mixture import log_e, log_e_above
from serve.experiments.statistics.looks import Look, Values
from serve.experiments.statistics.samples import BUCKET_RATIO, LogHistogram, bucket_edges

HARM_CONCENTRATION = 60.0
"""Sharpest after some 500 units of each variant, since harm should be found early."""


def compare_quantiles(
    control: LogHistogram, candidate: LogHistogram, p: float, alpha: float, concentration: float
) -> Look:
    """The difference of the p-quantiles, candidate less control; `concentration` is of one variant's units.

    Next to 0 the interval may be wider than the evidence by one bucket.
    """
    first, end = min(control.first, candidate.first) - 1, max(control.end, candidate.end) + 1
    arms = [_evidence(arm.widen(first, end), p, concentration) for arm in (control, candidate)]
    edges = np.concatenate([[-np.inf], bucket_edges(np.arange(first + 1, end)), [np.inf]])
    low, high = _find_gaps(arms[0], arms[1], np.log(1 / alpha), edges)
    values = control.quantile(p), candidate.quantile(p)
    return Look(
        effect=values[1] - values[0],
        low=low,
        high=high,
        log_e=np.min(arms[0] + arms[1], axis=-1),
        control=values[0],
        candidate=values[1],
        units=(control.units, candidate.units),
    )


def log_e_quantile_harm(control: LogHistogram, candidate: LogHistogram, p: float, margin: float) -> Values:
    """The evidence that the candidate's p-quantile is more than 1 + margin times the control's.

    Both are of positive values. The margin is rounded up to whole buckets, by 2 % at most.
    """
    shift = count_margin_buckets(margin)
    first = min(control.first, candidate.first - shift) - 1
    end = max(control.end, candidate.end - shift) + 1
    counts = control.widen(first, end)
    before = np.cumsum(counts, axis=-1) - counts
    reached = np.cumsum(candidate.widen(first + shift, end + shift), axis=-1)
    slower = candidate.units[..., None] - reached
    units = control.units[..., None], candidate.units[..., None]
    return log_e_of_exceedances(before, slower, units, p)


def log_e_of_exceedances(
    before: NDArray[np.float64], slower: NDArray[np.float64], units: tuple[Values, Values], p: float
) -> Values:
    """The same from counts at each x, the last axis.

    `before` counts values of the control that are surely below x, `slower` values of the candidate that are
    surely above x with the margin.
    """
    # Whatever x is, either the control's quantile is shown to be below it, or the candidate's above.
    control_below = log_e_above(before, units[0] - before, p, HARM_CONCENTRATION)
    candidate_above = log_e_above(slower, units[1] - slower, 1 - p, HARM_CONCENTRATION)
    return np.asarray(np.min(control_below + candidate_above, axis=-1))


def count_margin_buckets(margin: float) -> int:
    """How many buckets the margin of a latency is, rounded up."""
    return int(np.ceil(np.log1p(margin) / np.log(BUCKET_RATIO) - 1e-9))


def _evidence(counts: NDArray[np.float64], p: float, concentration: float) -> NDArray[np.float64]:
    """For each bucket the least evidence against the p-quantile being in it."""
    units = counts.sum(axis=-1, keepdims=True)
    reached = np.cumsum(counts, axis=-1)
    k = np.clip(p * units, reached - counts, reached)
    return np.asarray(log_e(k, units - k, p, concentration))


def _find_gaps(
    control: NDArray[np.float64], candidate: NDArray[np.float64], room: float, edges: NDArray[np.float64]
) -> tuple[Values, Values]:
    """The least and greatest difference of two quantiles whose evidence together is less than `room`.

    Bucket i lies between `edges[i]` and `edges[i + 1]`; the first and the last one are open.
    """
    if control.ndim > 1:
        rows = zip(
            control.reshape(-1, control.shape[-1]), candidate.reshape(-1, control.shape[-1]), strict=True
        )
        gaps = np.array([_find_gaps(*row, room, edges) for row in rows]).reshape(*control.shape[:-1], 2)
        return gaps[..., 0], gaps[..., 1]
    lower, upper, left = edges[:-1], edges[1:], room - control
    # Counts rise with the bucket, so the evidence falls to its least and rises again: two monotone halves.
    above = np.minimum.accumulate(candidate[::-1])[::-1]
    below = np.minimum.accumulate(candidate)[::-1]
    last = np.searchsorted(above, left) - 1
    first = len(candidate) - np.searchsorted(below, left)
    is_possible = last >= 0
    highest = upper[last[is_possible]] - lower[is_possible]
    lowest = lower[first[is_possible]] - upper[is_possible]
    return float(lowest.min()), float(highest.max())
