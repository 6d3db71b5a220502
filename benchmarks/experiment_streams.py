"""Outcomes of thousands of simulated experiments at once, as the sums that a server keeps of each."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve.experiments.statistics import means
from serve.experiments.statistics.beta_mixture import concentration_for
from serve.experiments.statistics.estimates import (
    Estimate,
    estimate_adjusted,
    estimate_mean,
    estimate_quantile,
    estimate_rate,
    estimate_ratio,
)
from serve.experiments.statistics.looks import Look
from serve.experiments.statistics.quantiles import compare_quantiles
from serve.experiments.statistics.rates import compare_rates
from serve.experiments.statistics.samples import (
    Counts,
    LogHistogram,
    Moments,
    PairMoments,
    find_buckets,
)

ALPHA = 0.05
PLANNED = 5000
QUANTILE = 0.9
SIGMA = 0.5
Floats = NDArray[np.float64]
Sample = Counts | Moments | PairMoments | LogHistogram


@dataclass(frozen=True, slots=True)
class Batch:
    """The units between two looks: rows are experiments, columns units."""

    rng: np.random.Generator
    arms: NDArray[np.bool_]
    """Whether each unit is the candidate's."""
    base: float
    """What the outcomes of both variants are multiplied by at this time."""
    effect: float
    """What the candidate's are multiplied by besides."""

    @property
    def factor(self) -> Floats:
        """What each unit's outcome is multiplied by."""
        return self.base * np.where(self.arms, self.effect, 1.0)

    def split(self, sum_up: Callable[[NDArray[np.bool_]], Sample]) -> tuple[Sample, Sample]:
        """The samples of the control and of the candidate."""
        return sum_up(~self.arms), sum_up(self.arms)


@dataclass(frozen=True, slots=True)
class Metric:
    """One kind of outcome: how it is drawn, compared in sequence, and estimated for one look."""

    name: str
    draw: Callable[[Batch], tuple[Sample, Sample]]
    compare: Callable[..., Look]
    estimate: Callable[..., tuple[Estimate, Estimate]]
    effect: float
    """The candidate's factor in the runs with an effect."""
    true_effect: Callable[[float], float] | None = None
    """The effect that the comparison should show for a factor, without drift; by default the factor."""
    drift: float = 0.8


def _draw_events(rate: float) -> Callable[[Batch], tuple[Sample, Sample]]:
    def draw(batch: Batch) -> tuple[Sample, Sample]:
        events = batch.rng.random(batch.arms.shape) < rate * batch.factor
        return batch.split(lambda arm: Counts(_count(arm), _count(events & arm)))

    return draw


def _draw_values(
    values: Callable[[np.random.Generator, tuple[int, ...]], Floats],
) -> Callable[..., tuple[Sample, Sample]]:
    def draw(batch: Batch) -> tuple[Sample, Sample]:
        y = values(batch.rng, batch.arms.shape) * batch.factor
        return batch.split(lambda arm: _moments(y, arm))

    return draw


def _draw_adjusted(batch: Batch) -> tuple[Sample, Sample]:
    """Outcomes of which the covariate explains half the variance."""
    x: Floats = batch.rng.standard_exponential(batch.arms.shape)
    y = (x + batch.rng.standard_exponential(batch.arms.shape)) * batch.factor
    return batch.split(lambda arm: _pairs(y, x, arm))


def _draw_ratio(batch: Batch) -> tuple[Sample, Sample]:
    """Clicks by views: units differ in both."""
    views = 1 + batch.rng.poisson(4.0, batch.arms.shape).astype(np.float64)
    rates = 0.2 * batch.rng.standard_exponential(batch.arms.shape) * batch.factor
    clicks = batch.rng.poisson(views * rates).astype(np.float64)
    return batch.split(lambda arm: _pairs(clicks, views, arm))


def _draw_latencies(batch: Batch) -> tuple[Sample, Sample]:
    """Lognormal values, counted in the buckets around their quantile; those beyond in the outermost."""
    values = batch.rng.lognormal(0, SIGMA, batch.arms.shape) * batch.factor
    middle = int(find_buckets([np.exp(SIGMA * 1.2816)])[0])
    first, width = middle - 50, 100
    buckets = np.clip(find_buckets(values) - first, 0, width - 1)
    places = buckets + width * np.arange(len(values))[:, None]

    def sum_up(arm: NDArray[np.bool_]) -> LogHistogram:
        counts = np.bincount(places[arm], minlength=width * len(values)).astype(np.float64)
        return LogHistogram(counts.reshape(-1, width), first)

    return batch.split(sum_up)


def _compare_by_events(rate: float) -> Callable[..., Look]:
    def compare(control: Counts, candidate: Counts, share: float) -> Look:
        return compare_rates(control, candidate, ALPHA, concentration_for(PLANNED * rate, ALPHA), share)

    return compare


def _compare_estimates(estimate: Callable[..., tuple[Estimate, Estimate]]) -> Callable[..., Look]:
    def compare(control: Sample, candidate: Sample, share: float) -> Look:
        return means.compare(*estimate(control, candidate), ALPHA, PLANNED)

    return compare


def _compare_quantiles(control: LogHistogram, candidate: LogHistogram, share: float) -> Look:
    return compare_quantiles(control, candidate, QUANTILE, ALPHA, concentration_for(PLANNED / 2, ALPHA))


def _both(estimate: Callable[..., Estimate]) -> Callable[..., tuple[Estimate, Estimate]]:
    return lambda control, candidate: (estimate(control), estimate(candidate))


def _exponential(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    return rng.standard_exponential(shape)


def _lognormal(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    return rng.lognormal(0, 1.5, shape)


def _sparse(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Such as sales: nothing from 99 % of the units, and amounts of all sizes from the others."""
    return np.where(rng.random(shape) < 0.01, rng.lognormal(0, 1, shape), 0.0)


def _estimate_quantile(sample: LogHistogram) -> Estimate:
    return estimate_quantile(sample, QUANTILE)


def _difference(mean: float) -> Callable[[float], float]:
    return lambda factor: mean * (factor - 1)


_RATE, _MEAN, _RATIO = _both(estimate_rate), _both(estimate_mean), _both(estimate_ratio)

METRICS = (
    Metric("binary, 10 %", _draw_events(0.1), _compare_by_events(0.1), _RATE, 1.2),
    Metric("binary, 1 %", _draw_events(0.01), _compare_by_events(0.01), _RATE, 1.6),
    Metric(
        "binary, 40 %, as a mean", _draw_events(0.4), _compare_estimates(_RATE), _RATE, 1.1, _difference(0.4)
    ),
    Metric(
        "binary, 1 %, as a mean", _draw_events(0.01), _compare_estimates(_RATE), _RATE, 1.6, _difference(0.01)
    ),
    Metric(
        "mean, exponential",
        _draw_values(_exponential),
        _compare_estimates(_MEAN),
        _MEAN,
        1.08,
        _difference(1),
    ),
    Metric(
        "mean, lognormal (skewness 33)",
        _draw_values(_lognormal),
        _compare_estimates(_MEAN),
        _MEAN,
        1.2,
        _difference(float(np.exp(1.5**2 / 2))),
    ),
    Metric(
        "mean, 99 % zeros (skewness 45)",
        _draw_values(_sparse),
        _compare_estimates(_MEAN),
        _MEAN,
        2.0,
        _difference(0.01 * float(np.exp(1 / 2))),
    ),
    Metric(
        "mean with a covariate",
        _draw_adjusted,
        _compare_estimates(estimate_adjusted),
        estimate_adjusted,
        1.04,
        _difference(2),
    ),
    Metric("ratio", _draw_ratio, _compare_estimates(_RATIO), _RATIO, 1.08, _difference(0.2)),
    Metric(
        "quantile, p90 lognormal",
        _draw_latencies,
        _compare_quantiles,
        _both(_estimate_quantile),
        1.1,
        _difference(float(np.exp(SIGMA * 1.2815515655))),
        drift=0.15,
    ),
)


def merge(first: Sample, second: Sample) -> Sample:
    """Two samples of one kind together."""
    return first.merge(second)  # type: ignore[arg-type]


def _count(mask: NDArray[np.bool_]) -> Floats:
    return np.asarray(mask.sum(axis=1), np.float64)


def _moments(y: Floats, arm: NDArray[np.bool_]) -> Moments:
    """The moments of the units of one arm, row by row."""
    units = _count(arm)
    mean = np.where(arm, y, 0).sum(axis=1) / np.maximum(units, 1)
    gaps = np.where(arm, y - mean[:, None], 0)
    squares = gaps * gaps
    return Moments(units, mean, squares.sum(axis=1), (squares * gaps).sum(axis=1))


def _pairs(y: Floats, x: Floats, arm: NDArray[np.bool_]) -> PairMoments:
    """The pair moments of the units of one arm, row by row."""
    first, second = _moments(y, arm), _moments(x, arm)
    dy, dx = y - np.asarray(first.mean)[:, None], x - np.asarray(second.mean)[:, None]
    sums = first.squares, second.squares, np.where(arm, dy * dx, 0).sum(axis=1), first.cubes, second.cubes
    return PairMoments(first.units, first.mean, second.mean, *sums)
