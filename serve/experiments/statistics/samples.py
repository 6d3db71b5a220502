"""What is kept of a variant's outcomes: small, merged without loss, enough for every comparison."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from serve.experiments.errors import FeedbackError
from serve.experiments.statistics.looks import Values

LARGEST = 1e100
"""The greatest magnitude of an outcome, so that squares and their products stay finite."""

BUCKET_RATIO = 1.01
SMALLEST = 1e-9
"""Magnitudes below this share the bucket of zero."""

_LOG_RATIO = float(np.log(BUCKET_RATIO))


@dataclass(frozen=True, slots=True)
class Counts:
    """How many units there are, and in how many of them the event happened."""

    units: Values = 0.0
    events: Values = 0.0

    @property
    def rate(self) -> Values:
        """Events per unit; 0 without units."""
        return self.events / np.maximum(self.units, 1)

    @property
    def failures(self) -> "Counts":
        """The units in which the event did not happen."""
        return Counts(self.units, self.units - self.events)

    def merge(self, other: "Counts") -> "Counts":
        """Both together."""
        return Counts(self.units + other.units, self.events + other.events)


@dataclass(frozen=True, slots=True)
class Moments:
    """The mean of one value a unit, and the sums of squared and cubed distances from it."""

    units: Values = 0.0
    mean: Values = 0.0
    squares: Values = 0.0
    cubes: Values = 0.0

    @classmethod
    def of(cls, outcomes: ArrayLike) -> "Moments":
        """Those of the last axis; raises FeedbackError for an outcome that is not finite or too large."""
        y = check_outcomes(outcomes)
        if y.shape[-1] == 0:
            return cls()
        mean = y.mean(axis=-1)
        gaps = y - mean[..., None]
        return cls(float(y.shape[-1]), mean, *_sum_powers(gaps))

    @property
    def variance(self) -> Values:
        """The sample variance; infinite for fewer than two units."""
        return _variance(self.squares, self.units)

    @property
    def skewness(self) -> Values:
        """How far outcomes lean to one side: 1 / sqrt(p) for rare events of share p; 0 without variation."""
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            spread = np.sqrt(np.asarray(self.squares, np.float64) / self.units)
            lean = self.cubes / np.asarray(self.units, np.float64) / spread**3
        return np.where(spread > 0, lean, 0.0)

    def merge(self, other: "Moments") -> "Moments":
        """Both together (Chan, Golub, LeVeque 1979, https://doi.org/10.1007/978-3-642-51461-6_3)."""
        units, share, weight = _weights(self.units, other.units)
        gap = other.mean - self.mean
        squares = self.squares + other.squares + gap * gap * weight
        return Moments(units, self.mean + gap * share, squares, _merge_cubes(self, other, gap, share, weight))


@dataclass(frozen=True, slots=True)
class PairMoments:
    """Means, and sums of squared and cubed distances and of products, of two values a unit.

    y and x are numerator and denominator of a ratio, or outcome and covariate.
    """

    units: Values = 0.0
    mean_y: Values = 0.0
    mean_x: Values = 0.0
    squares_y: Values = 0.0
    squares_x: Values = 0.0
    products: Values = 0.0
    cubes_y: Values = 0.0
    cubes_x: Values = 0.0

    @classmethod
    def of(cls, y: ArrayLike, x: ArrayLike) -> "PairMoments":
        """Those of the last axis of two arrays of one shape; raises FeedbackError as `Moments.of` does."""
        first, second = check_outcomes(y), check_outcomes(x)
        if first.shape != second.shape:
            raise FeedbackError(f"expected as many values of y as of x, got {first.shape} and {second.shape}")
        if first.shape[-1] == 0:
            return cls()
        mean_y, mean_x = first.mean(axis=-1), second.mean(axis=-1)
        dy, dx = first - mean_y[..., None], second - mean_x[..., None]
        (squares_y, cubes_y), (squares_x, cubes_x) = _sum_powers(dy), _sum_powers(dx)
        sums = (squares_y, squares_x, (dy * dx).sum(axis=-1), cubes_y, cubes_x)
        return cls(float(first.shape[-1]), mean_y, mean_x, *sums)

    @property
    def y(self) -> Moments:
        """Those of y alone."""
        return Moments(self.units, self.mean_y, self.squares_y, self.cubes_y)

    @property
    def x(self) -> Moments:
        """Those of x alone."""
        return Moments(self.units, self.mean_x, self.squares_x, self.cubes_x)

    @property
    def covariance(self) -> Values:
        """The sample covariance; infinite for fewer than two units."""
        return _variance(self.products, self.units)

    def merge(self, other: "PairMoments") -> "PairMoments":
        """Both together, as `Moments.merge`."""
        y, x = self.y.merge(other.y), self.x.merge(other.x)
        _, _, weight = _weights(self.units, other.units)
        gap = (other.mean_y - self.mean_y) * (other.mean_x - self.mean_x)
        products = self.products + other.products + gap * weight
        return PairMoments(y.units, y.mean, x.mean, y.squares, x.squares, products, y.cubes, x.cubes)


@dataclass(frozen=True, slots=True)
class LogHistogram:
    """How many values lie in each bucket; bucket `first` and those after it, of any number of histograms.

    Buckets are the same everywhere, so histograms of workers, hours and variants merge. Those of positive
    values are 1 % wide, those of negative ones mirror them, and bucket 0 holds what is nearer to 0 than 1e-9.
    """

    counts: NDArray[np.float64]
    first: int = 0

    @classmethod
    def of(cls, values: ArrayLike) -> "LogHistogram":
        """That of a list of values; raises FeedbackError for a value that is not finite or too large."""
        buckets = find_buckets(values).ravel()
        if buckets.size == 0:
            return cls(np.zeros(0))
        first = int(buckets.min())
        return cls(np.bincount(buckets - first).astype(np.float64), first)

    @property
    def units(self) -> NDArray[np.float64]:
        """How many values there are."""
        return np.asarray(self.counts.sum(axis=-1))

    @property
    def end(self) -> int:
        """The bucket after the last."""
        return self.first + int(self.counts.shape[-1])

    def widen(self, first: int, end: int) -> NDArray[np.float64]:
        """The counts of buckets `first` to `end`, which must include all of the histogram's own."""
        around = [(0, 0)] * (self.counts.ndim - 1) + [(self.first - first, end - self.end)]
        return np.pad(self.counts, around) if self.counts.shape[-1] else np.zeros(end - first)

    def merge(self, other: "LogHistogram") -> "LogHistogram":
        """Both together."""
        if not self.counts.shape[-1] or not other.counts.shape[-1]:
            return self if self.counts.shape[-1] else other
        first, end = min(self.first, other.first), max(self.end, other.end)
        return LogHistogram(self.widen(first, end) + other.widen(first, end), first)

    def quantile(self, p: Values) -> Values:
        """The p-quantile to within its bucket's half width, 0.5 %; NaN without values."""
        if not self.counts.shape[-1]:
            return float("nan")
        reached = np.cumsum(self.counts, axis=-1) >= (p * self.units)[..., None]
        value = bucket_centres(self.first + np.argmax(reached, axis=-1))
        return np.where(self.units > 0, value, np.nan)


def check_outcomes(outcomes: ArrayLike) -> NDArray[np.float64]:
    """The outcomes as an array of at least one axis; raises FeedbackError if one cannot be averaged."""
    values = np.atleast_1d(np.asarray(outcomes, dtype=np.float64))
    wrong = ~(np.abs(values) <= LARGEST)
    if wrong.any():
        got = float(values[wrong][0])
        raise FeedbackError(f"expected outcomes between -{LARGEST:g} and {LARGEST:g}, got {got:g}")
    return values


def find_buckets(values: ArrayLike) -> NDArray[np.int64]:
    """The bucket of each value; raises FeedbackError for a value that is not finite or too large."""
    v = check_outcomes(values)
    size = np.abs(v)
    steps = 1 + np.floor(np.log(np.maximum(size, SMALLEST) / SMALLEST) / _LOG_RATIO)
    return np.where(size < SMALLEST, 0, np.sign(v) * steps).astype(np.int64)


def bucket_edges(buckets: ArrayLike) -> NDArray[np.float64]:
    """The lower end of each bucket; its upper end is that of the next."""
    number = np.asarray(buckets, dtype=np.float64)
    steps = np.where(number > 0, number - 1, -number)
    return np.where(number > 0, 1, -1) * SMALLEST * np.exp(steps * _LOG_RATIO)


def bucket_centres(buckets: ArrayLike) -> NDArray[np.float64]:
    """The geometric middle of each bucket, 0 of bucket 0."""
    number = np.asarray(buckets, dtype=np.float64)
    return np.sign(number) * SMALLEST * np.exp((np.abs(number) - 0.5) * _LOG_RATIO)


def _sum_powers(gaps: NDArray[np.float64]) -> tuple[Values, Values]:
    """The sums of squares and of cubes of the last axis."""
    squares = gaps * gaps
    with np.errstate(over="ignore", invalid="ignore"):
        return squares.sum(axis=-1), (squares * gaps).sum(axis=-1)


def _merge_cubes(first: Moments, second: Moments, gap: Values, share: Values, weight: Values) -> Values:
    """The sum of cubes around the mean of both."""
    with np.errstate(over="ignore", invalid="ignore"):
        between = gap**3 * weight * (1 - 2 * np.asarray(share))
        within = 3 * gap * ((1 - share) * second.squares - share * np.asarray(first.squares))
        return first.cubes + second.cubes + between + within


def _variance(squares: Values, units: Values) -> Values:
    return np.where(units > 1, squares / np.maximum(units - 1, 1), np.inf)


def _weights(before: Values, added: Values) -> tuple[Values, Values, Values]:
    """All units; the share of those added; what the squared gap between two means counts."""
    units = before + added
    share = added / np.maximum(units, 1)
    return units, share, before * share
