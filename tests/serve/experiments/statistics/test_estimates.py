"""Estimates and the variance that one unit adds to each."""

import numpy as np
import pytest
from scipy.stats import lognorm

from serve.experiments.statistics.estimates import (
    estimate_adjusted,
    estimate_mean,
    estimate_quantile,
    estimate_rate,
    estimate_ratio,
)
from serve.experiments.statistics.samples import Counts, LogHistogram, Moments, PairMoments

RNG = np.random.default_rng(6)


def test_a_rate_has_the_variance_of_its_zeros_and_ones() -> None:
    rate, mean = estimate_rate(Counts(1000, 300)), estimate_mean(Moments.of([1] * 300 + [0] * 700))
    assert rate.value == mean.value
    assert rate.variance == pytest.approx(mean.variance, rel=0.002)


@pytest.mark.parametrize("events", [0.0, 98.0])
def test_a_rate_without_exception_has_the_variance_of_two_units_more(events: float) -> None:
    found = estimate_rate(Counts(98.0, events))
    assert found.value == events / 98
    assert found.variance == pytest.approx(0.01 * 0.99)
    assert abs(found.skewness) == pytest.approx(0.98 / np.sqrt(0.01 * 0.99))


def test_a_ratio_has_the_variance_seen_over_many_samples() -> None:
    x = RNG.exponential(2, (2000, 400)) + 1
    y = 0.5 * x + RNG.normal(size=x.shape)
    estimate = estimate_ratio(PairMoments.of(y, x))
    ratios = y.sum(axis=1) / x.sum(axis=1)
    assert np.asarray(estimate.value) == pytest.approx(ratios)
    assert np.mean(estimate.variance) / 400 == pytest.approx(ratios.var(), rel=0.1)


def test_a_ratio_to_a_sum_of_zero_is_not_a_number() -> None:
    estimate = estimate_ratio(PairMoments.of([1.0, 2.0], [1.0, -1.0]))
    assert np.isnan(estimate.value)
    assert np.isnan(estimate.variance)


def test_ratios_of_extreme_sums_do_not_overflow_into_numbers() -> None:
    estimate = estimate_ratio(PairMoments.of([1e100, -9e99], [1e-100, 2e-100]))
    assert not np.isfinite(estimate.variance) or estimate.variance >= 0


def test_adjusting_leaves_the_effect_and_takes_the_explained_variance() -> None:
    x = RNG.normal(size=(2, 5000))
    y = 3 * x + RNG.normal(size=(2, 5000)) + np.array([[0.0], [0.2]])
    control, candidate = estimate_adjusted(PairMoments.of(y[0], x[0]), PairMoments.of(y[1], x[1]))
    assert candidate.value - control.value == pytest.approx(0.2, abs=0.08)
    assert control.variance == pytest.approx(1, rel=0.1)


def test_a_constant_covariate_adjusts_nothing() -> None:
    y = RNG.normal(size=100)
    pair = PairMoments.of(y, np.ones(100))
    assert estimate_adjusted(pair, pair)[0].value == pytest.approx(y.mean())
    assert estimate_adjusted(pair, pair)[0].variance == pytest.approx(y.var(ddof=1))
    empty, _ = estimate_adjusted(PairMoments(), PairMoments())
    assert empty.units == 0


@pytest.mark.parametrize(("p", "units"), [(0.5, 500), (0.9, 1000), (0.9, 20_000), (0.99, 5000)])
def test_a_quantile_has_the_variance_of_its_density(p: float, units: int) -> None:
    exact = lognorm.ppf(p, 0.5)
    expected = p * (1 - p) / lognorm.pdf(exact, 0.5) ** 2
    estimates = [estimate_quantile(LogHistogram.of(row), p) for row in RNG.lognormal(0, 0.5, (50, units))]
    assert np.median([float(estimate.variance) for estimate in estimates]) == pytest.approx(
        expected, rel=0.25
    )
    assert np.median([float(estimate.value) for estimate in estimates]) == pytest.approx(exact, rel=0.05)


def test_a_quantile_of_nothing_is_not_a_number() -> None:
    assert np.isnan(estimate_quantile(LogHistogram.of([]), 0.9).value)
