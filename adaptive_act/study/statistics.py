"""Statistics of paired runs: means with intervals, paired differences, exact tests, calibration."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy.special import stdtrit
from torch import Tensor

from adaptact.languages.catalogue import mark

LEVEL = 0.95
"""Coverage of every interval."""
ALPHA = 0.05
"""A difference counts when its p, corrected for all comparisons, is at most this."""
MOST_RESAMPLES = 99_999
"""Up to so many sign patterns are all counted; of more, so many are drawn."""
BINS = 15


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over seeds with its interval (Student's t); the interval is NaN where there is one seed."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Paired:
    """The mean difference between two variants over the same seeds, with its interval and p."""

    mean: float
    low: float
    high: float
    n: int
    p: float
    """Two-sided p of the sign-flip permutation test."""
    exact: bool
    """Whether all sign patterns were counted; else MOST_RESAMPLES were drawn."""
    smallest_p: float
    """The p that the test would give if every seed favoured the same side; none can be smaller."""


def mean(values: Sequence[float]) -> Mean:
    """The mean with its t-interval."""
    n, middle = len(values), float(np.mean(values))
    if n < 2:
        return Mean(middle, math.nan, math.nan, n)
    spread = float(np.std(values, ddof=1)) / math.sqrt(n)
    reach = float(stdtrit(n - 1, (1 + LEVEL) / 2)) * spread
    return Mean(middle, middle - reach, middle + reach, n)


def share(values: Sequence[float]) -> Mean:
    """The mean of shares from 0 to 1 with its t-interval, of which only what lies there is left."""
    interval = mean(values)
    return (
        replace(interval, low=max(interval.low, 0.0), high=min(interval.high, 1.0))
        if interval.n > 1
        else interval
    )


def paired(values: Sequence[float], baseline: Sequence[float]) -> Paired:
    """The paired difference `values` - `baseline`, seed by seed; both in the same order of seeds.

    Under the hypothesis that the variants are alike, each seed's difference is as likely with either sign;
    p is the share of all sign patterns whose mean is at least as far from 0, and 1 where a difference is not
    finite. The interval is NaN where there is one seed.
    """
    differences = np.asarray(values, float) - np.asarray(baseline, float)
    spread = mean(differences.tolist())
    exact = 2**spread.n <= MOST_RESAMPLES
    smallest = 2.0 ** (1 - spread.n) if exact else 2 / (MOST_RESAMPLES + 1)
    return Paired(spread.mean, spread.low, spread.high, spread.n, _sign_flip_p(differences), exact, smallest)


def holm(ps: Sequence[float]) -> list[float]:
    """The p-values corrected for being several, in the order given: Holm's step-down.

    Source: Holm 1979, https://www.jstor.org/stable/4615733
    """
    corrected = [math.nan] * len(ps)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[place]))
        corrected[place] = largest
    return corrected


def median_interval(values: Sequence[float]) -> Mean:
    """The median with its distribution-free interval, from order statistics; NaN where there are too few."""
    from scipy.stats import quantile_test  # noqa: PLC0415  # a second, which no single run needs to spend

    interval: Any = quantile_test(values, q=0, p=0.5).confidence_interval(LEVEL)
    return Mean(float(np.median(values)), float(interval.low), float(interval.high), len(values))


def judge_difference(difference: Paired, p: float, comparisons: int) -> str:
    """The verdict on a variant, in words that claim no more than the runs show; p is the corrected one."""
    if difference.smallest_p * comparisons > ALPHA:
        return mark("too few seeds to show one")
    if p > ALPHA:
        return mark("no difference shown")
    return "better" if difference.mean > 0 else "worse"


def calibration_error(logits: Tensor, labels: Tensor, bins: int = BINS) -> float:
    """The expected calibration error of logits [n, classes] on labels [n]: 0 is calibrated, 1 the worst.

    The mean, over bins of equal width of the confidence in the answer, of the gap between confidence and
    accuracy, weighted by the bin's samples. A bin holds its upper edge.
    Source: Guo et al. 2017, https://arxiv.org/abs/1706.04599
    """
    confidence, answer = logits.double().softmax(1).max(1)
    if not confidence.isfinite().all():
        return float("nan")
    right = (answer == labels).double()
    place = (confidence * bins).ceil().long().clamp(1, bins) - 1
    gaps = torch.zeros(bins, dtype=torch.float64).index_add_(0, place, right - confidence)
    return float(gaps.abs().sum() / len(labels))


def replace_non_finite(value: Any) -> Any:
    """The value with None in place of NaN and infinities, which JSON does not have."""
    if isinstance(value, Mapping):
        return {key: replace_non_finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [replace_non_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _sign_flip_p(differences: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    if len(differences) < 2 or not np.isfinite(differences).all():  # scipy would give 0
        return 1.0
    from scipy.stats import permutation_test  # noqa: PLC0415  # as above

    test = permutation_test(
        (differences,),
        lambda sample, axis: np.mean(sample, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=MOST_RESAMPLES,
        rng=np.random.default_rng(0),
    )
    return float(test.pvalue)
