"""Whether a candidate predicts any class much more or less often than the control."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from serve.experiments.statistics.looks import Values
from serve.experiments.statistics.means import BURN_IN, log_e_mean_above

OTHER_CLASSES = -1
"""Stands for the classes above those that are counted one by one."""

_PLANNED_UNITS = 1000.0


def align_classes(control: Mapping[int, int], candidate: Mapping[int, int]) -> tuple[list[int], list[int]]:
    """The counts of both by class, in one order.

    What either of them counts together with others, which it does from some class on, both do.
    """
    last = min((max(counts) for counts in (control, candidate) if OTHER_CLASSES in counts), default=None)
    folded: list[Counter[int]] = [Counter(), Counter()]
    for counts, sums in zip((control, candidate), folded, strict=True):
        for label, count in counts.items():
            sums[label if last is None or label <= last else OTHER_CLASSES] += count
    classes = sorted({*folded[0], *folded[1]})
    first, second = ([sums[label] for label in classes] for sums in folded)
    return first, second


def largest_shift(control: ArrayLike, candidate: ArrayLike) -> Values:
    """The greatest change of a class's share, from counts of predictions by class, the last axis."""
    first, second = _shares(control), _shares(candidate)
    return np.asarray(np.abs(second - first).max(axis=-1, initial=0.0))


def log_e_shift(control: ArrayLike, candidate: ArrayLike, margin: float, alpha: float) -> Values:
    """The evidence that the share of some class differs by more than `margin`.

    The mean of the evidence for each class and direction, so that many classes do not raise more alarms.
    """
    before, after = np.asarray(control, np.float64), np.asarray(candidate, np.float64)
    units = before.sum(axis=-1), after.sum(axis=-1)
    if before.shape[-1] == 0:
        return 0.0
    first, second = _shares(before), _shares(after)
    error = np.sqrt(_variance(first, second) * sum(1 / np.maximum(count, 1) for count in units)[..., None])
    excess = np.concatenate([second - first, first - second], axis=-1) - margin
    both = np.concatenate([error, error], axis=-1)
    total = (units[0] + units[1])[..., None]
    evidence = np.asarray(log_e_mean_above(excess, both, total, alpha, _PLANNED_UNITS))
    mean = logsumexp(evidence, axis=-1) - np.log(evidence.shape[-1])
    return np.where(np.minimum(units[0], units[1]) >= BURN_IN, mean, 0.0)


def _variance(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """The variance of one prediction being of the class, that of the share nearest to a half."""
    shares = np.stack([first, second, (first + second) / 2])
    return np.asarray((shares * (1 - shares)).max(axis=0))


def _shares(counts: ArrayLike) -> NDArray[np.float64]:
    """The share of each class; 0 without predictions."""
    values = np.asarray(counts, np.float64)
    return np.asarray(values / np.maximum(values.sum(axis=-1, keepdims=True), 1))
