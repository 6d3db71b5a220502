"""The shape of a curve in facts: slopes, levels, dips, and how far it moved from its start."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from adaptive_act.explain.arrays import Flags, Numbers
from adaptive_act.explain.reach import Reach

Curve = Callable[[Tensor], Tensor]
"""Points [n] to values [C, n], as `Activation.curve`."""

FAR = 50.0
"""How far a curve is examined on both sides of zero where no data are given."""
NEAR = 4.0
"""The range, on both sides of zero, over which a change is measured where no data are given."""
NEGLIGIBLE = 0.01
"""The difference of outputs that counts as none: this share of the range, and at most this."""

# Where a side is followed, as shares of its range: closer near zero, where curves bend.
_ALONG = np.linspace(0, 1, 801) ** 2
# Where its slopes half way and at its end are taken.
_SLOPES = np.array([0.499, 0.5, 0.999, 1.0])
_NEAR_ZERO = np.array([0.0, 1e-4, 2e-4])
_FLAT = 0.02

Pattern = Literal["blocked", "line", "level", "bent", "broken"]


@dataclass(frozen=True, slots=True)
class Side:
    """One side of zero, up to `far`, of the curve of each channel; the arrays are [C].

    The pattern is `blocked` (nothing passes), `line` (straight from zero on), `level` (it ends flat),
    `bent`, or `broken` (not finite everywhere). `lowest` and `highest` are relative to the value at zero,
    `*_at` where they lie; `slope` and `end` are the slope and the value at `far`.
    """

    far: float
    patterns: tuple[Pattern, ...]
    slope: Numbers
    end: Numbers
    lowest: Numbers
    lowest_at: Numbers
    highest: Numbers
    highest_at: Numbers

    @property
    def negligible(self) -> float:
        """The difference of outputs that counts as none on this side."""
        return _negligible_change(self.far)


@dataclass(frozen=True, slots=True)
class Shape:
    """The curve of each channel, on the sides of zero that its inputs reach; the arrays are [C].

    A side is None where no inputs lie. `slopes` are those just below and just above zero; `rising` says
    whether the curve never falls on both sides.
    """

    left: Side | None
    right: Side | None
    at_zero: Numbers
    slopes: tuple[Numbers, Numbers]
    rising: Flags

    @property
    def channels(self) -> int:
        """The number of curves."""
        return len(self.at_zero)


@dataclass(frozen=True, slots=True)
class Displacement:
    """How far the learned curve lies from its start, in units of the output.

    `mean` and `share` (of the start's mean size; None where the start is zero) weigh each input as often as
    it came, or -NEAR to NEAR evenly where no data are given; `most` is the largest difference there, `at` x.
    Values that are not finite are left out.
    """

    mean: float
    share: float | None
    most: float
    at: float


def measure_shape(curve: Curve, seen: Reach | None) -> Shape:
    """The facts of a curve where the data lie, or on [-FAR, FAR] where none are given."""
    low, high = (-FAR, FAR) if seen is None else (float(seen.edges[0]), float(seen.edges[-1]))
    ends = [end for end in (min(low, 0.0), max(high, 0.0)) if end]
    looked = [-_NEAR_ZERO, _NEAR_ZERO, *(end * part for end in ends for part in (_ALONG, _SLOPES))]
    values = evaluate_curve(curve, np.concatenate(looked))
    below, above, *parts = np.split(values, np.cumsum([len(points) for points in looked])[:-1], axis=1)
    sides = {end: _measure_side(end, *parts[2 * place : 2 * place + 2]) for place, end in enumerate(ends)}
    followed = [np.sign(end) * np.diff(along) for end, along in zip(ends, parts[::2], strict=True)]
    allowed = 1e-9 * (1.0 + np.nan_to_num(np.abs(values)).max(1, keepdims=True))
    return Shape(
        left=sides.get(min(low, 0.0)),
        right=sides.get(max(high, 0.0)),
        at_zero=above[:, 0],
        slopes=(-_slope_at_zero(below), _slope_at_zero(above)),
        rising=~(np.concatenate(followed, axis=1) < -allowed).any(1),
    )


def measure_displacement(learned: Curve, start: Curve, seen: Reach | None) -> Displacement:
    """How far `learned` lies from `start` where the data lie."""
    points, weights = _input_weights(seen)
    now, before = np.broadcast_arrays(evaluate_curve(learned, points), evaluate_curve(start, points))
    finite = np.isfinite(now) & np.isfinite(before)
    weights = np.broadcast_to(weights, now.shape) * finite
    whole = max(float(weights.sum()), np.finfo(float).tiny)
    differences = np.where(finite, np.abs(now - before), 0.0)
    mean = float((differences * weights).sum() / whole)
    size = float((np.where(finite, np.abs(before), 0.0) * weights).sum() / whole)
    largest = np.where(weights > 0, differences, 0.0)
    at = float(points[largest.max(0).argmax()])
    return Displacement(mean, mean / size if size > 0 else None, float(largest.max()), at)


def evaluate_curve(curve: Curve, points: Numbers) -> Numbers:
    """The curve at `points` [n] as [C, n], with NaN wherever it is not finite."""
    values: Numbers = curve(torch.from_numpy(points)).cpu().numpy()
    return np.where(np.isfinite(values), values, np.nan)


def _input_weights(seen: Reach | None) -> tuple[Numbers, Numbers]:
    """Points [n] and how much each counts: [1, n], or [C, n] where inputs were counted by channel."""
    if seen is None:
        return np.linspace(-NEAR, NEAR, 401), np.full((1, 401), 1 / 401)
    points = np.concatenate([seen.edges[:1], (seen.edges[1:] + seen.edges[:-1]) / 2, seen.edges[-1:]])
    return points, np.column_stack([seen.under, seen.counts, seen.over]).astype(np.float64)


def _slope_at_zero(values: Numbers) -> Numbers:
    """The slope outwards, exact to the second order, from the values [C, 3] at _NEAR_ZERO."""
    slope: Numbers = (-3 * values[:, 0] + 4 * values[:, 1] - values[:, 2]) / (2 * _NEAR_ZERO[1])
    return slope


def _measure_side(far: float, along: Numbers, pairs: Numbers) -> Side:
    """The facts of one side from the values [C, ...] at _ALONG and _SLOPES of the way to `far`."""
    half, slope = (np.diff(pairs)[:, (0, 2)] / (far * np.diff(_SLOPES)[[0, 2]])).T
    points, relative = far * _ALONG, along - along[:, :1]
    return Side(
        far=far,
        patterns=tuple(_classify_side(points, *facts) for facts in zip(relative, half, slope, strict=True)),
        slope=slope,
        end=along[:, -1],
        lowest=relative.min(1),
        lowest_at=points[relative.argmin(1)],
        highest=relative.max(1),
        highest_at=points[relative.argmax(1)],
    )


def _classify_side(points: Numbers, relative: Numbers, half: float, slope: float) -> Pattern:
    """What one channel does on one side; `relative` is its value less the one at zero."""
    nothing = _negligible_change(points[-1])
    if np.isnan(relative).any():
        return "broken"
    if np.abs(relative).max() <= nothing:
        return "blocked"
    line = relative[-1] / points[-1]
    if np.abs(relative - line * points).max() <= nothing:
        return "line"
    return "level" if abs(slope) <= _FLAT and abs(half) <= 10 * _FLAT else "bent"


def _negligible_change(far: float) -> float:
    return NEGLIGIBLE * min(abs(far), 1.0)
