"""Quantiles of two variants compared by counts in buckets, whatever the distribution.

Of the values, the share p is at or below the p-quantile, so the counts at or below a value x and above it
are evidence against x being the quantile. Two variants have the same quantile if there is one x that the
evidence of neither speaks against: E = min over x of E_control(x) * E_candidate(x). Where x lies inside a
bucket, or many values are equal, the count is only known to be between two numbers, and the one that speaks
least against x is taken; so the results hold to within a bucket, 1 %.

Source: Howard & Ramdas 2022, https://arxiv.org/abs/1906.09712.
"""

import numpy as np
from numpy.typing import NDArray

from serve.experiments.statistics.beta_mixture import log_e, log_e_above
from serve.experiments.statistics.looks import Look, Values
from serve.experiments.statistics.samples import BUCKET_RATIO, LogHistogram, bucket_edges

HARM_CONCENTRATION = 60.0
"""Sharpest after some 500 units of each variant, since harm should be found early."""

_ENOUGH = 1e3
"""Evidence beyond which no level of any use lies."""


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

    Both are of positive values. The margin is rounded up to whole buckets, by 1 % at most.
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
    lower, upper, last = edges[:-1], edges[1:], control.shape[-1] - 1
    left, evidence = room - control, np.minimum(candidate, _ENOUGH)
    # Counts rise with the bucket, so the evidence falls to its least and rises again: two monotone halves.
    above = np.minimum.accumulate(evidence[..., ::-1], axis=-1)[..., ::-1]
    below = np.minimum.accumulate(evidence, axis=-1)[..., ::-1]
    highest, lowest = _count_below(above, left) - 1, last + 1 - _count_below(below, left)
    is_possible = highest >= 0
    high = np.where(is_possible, upper[np.maximum(highest, 0)] - lower, -np.inf)
    low = np.where(is_possible, lower[np.minimum(lowest, last)] - upper, np.inf)
    return low.min(axis=-1), high.max(axis=-1)


def _count_below(rising: NDArray[np.float64], bounds: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many values of each rising row are below each bound of the row."""
    width = rising.shape[-1]
    rows = np.arange(rising.size // width)[:, None]
    # Each row is lifted above the one before, so that one search serves all.
    lift = 4 * _ENOUGH * rows
    lifted = (rising.reshape(-1, width) + lift).ravel()
    kept = np.clip(bounds.reshape(-1, width), -_ENOUGH, _ENOUGH) + lift
    return np.asarray(np.searchsorted(lifted, kept) - width * rows).reshape(bounds.shape)
