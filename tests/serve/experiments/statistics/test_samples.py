"""Samples: merged without loss, exact to rounding, and closed to what cannot be averaged."""

import numpy as np
import pytest
from scipy.stats import skew

from serve.experiments.errors import FeedbackError
from serve.experiments.statistics.samples import (
    LARGEST,
    Counts,
    LogHistogram,
    Moments,
    PairMoments,
    bucket_centres,
    bucket_edges,
    find_buckets,
)

RNG = np.random.default_rng(3)


def test_counts_merge_and_know_their_failures() -> None:
    both = Counts(10, 3).merge(Counts(5, 2))
    assert both == Counts(15, 5)
    assert both.failures == Counts(15, 10)
    assert both.rate == pytest.approx(1 / 3)
    assert Counts().rate == 0


@pytest.mark.parametrize("offset", [0.0, 1e9])
def test_merged_moments_are_those_of_all_outcomes(offset: float) -> None:
    y = RNG.exponential(2, 1000) + offset
    merged = Moments()
    for part in np.split(y, [1, 1, 10, 300]):
        merged = merged.merge(Moments.of(part))
    assert merged.units == 1000
    assert merged.mean == pytest.approx(y.mean(), rel=1e-12)
    assert merged.variance == pytest.approx(y.var(ddof=1), rel=1e-6)
    assert merged.skewness == pytest.approx(skew(y), rel=1e-4)


def test_merged_pair_moments_are_those_of_all_pairs() -> None:
    y, x = RNG.normal(5, 2, 400), RNG.exponential(1, 400)
    merged = PairMoments()
    for part in (slice(0, 1), slice(1, 1), slice(1, 250), slice(250, 400)):
        merged = merged.merge(PairMoments.of(y[part], x[part]))
    expected = np.cov(y, x)
    assert merged.y.variance == pytest.approx(expected[0, 0])
    assert merged.x.variance == pytest.approx(expected[1, 1])
    assert merged.covariance == pytest.approx(expected[0, 1])
    assert merged.mean_y == pytest.approx(y.mean())
    assert merged.mean_x == pytest.approx(x.mean())
    assert merged.y.skewness == pytest.approx(skew(y))
    assert merged.x.skewness == pytest.approx(skew(x))


@pytest.mark.parametrize("outcomes", [[], [4.0], [4.0, 4.0], [LARGEST, -LARGEST]])
def test_outcomes_without_variation_or_in_balance_do_not_lean(outcomes: list[float]) -> None:
    assert Moments.of(outcomes).skewness == 0


def test_moments_of_rows_are_those_of_each_row() -> None:
    rows = RNG.normal(size=(3, 50))
    assert np.asarray(Moments.of(rows).variance) == pytest.approx(rows.var(axis=1, ddof=1))


def test_one_unit_has_no_variance_yet() -> None:
    assert np.isinf(Moments.of([4.0]).variance)
    assert np.isinf(PairMoments.of([4.0], [1.0]).covariance)


@pytest.mark.parametrize("outcome", [np.nan, np.inf, -np.inf, 1e300, 2 * LARGEST])
def test_outcomes_that_cannot_be_averaged_are_refused(outcome: float) -> None:
    for refuse in (Moments.of, LogHistogram.of, lambda values: PairMoments.of([1.0, 2.0], values)):
        with pytest.raises(FeedbackError, match="expected outcomes between"):
            refuse([1.0, outcome])


def test_the_largest_outcomes_stay_finite() -> None:
    moments = Moments.of([LARGEST, -LARGEST, LARGEST]).merge(Moments.of([-LARGEST]))
    assert np.isfinite(moments.variance)


def test_pairs_of_unequal_length_are_refused() -> None:
    with pytest.raises(FeedbackError, match="as many values"):
        PairMoments.of([1.0, 2.0], [1.0])


def test_every_value_lies_between_the_edges_of_its_bucket() -> None:
    values = np.concatenate([RNG.lognormal(0, 8, 500), -RNG.lognormal(0, 8, 500), [0.0, 1e-12, -1e-12, 1e99]])
    buckets = find_buckets(values)
    slack = 1e-9 * np.abs(values)
    assert (bucket_edges(buckets) <= values + slack).all()
    assert (values <= bucket_edges(buckets + 1) + slack).all()
    assert (np.diff(find_buckets(np.sort(values))) >= 0).all()
    large = np.abs(values) > 1e-8
    assert bucket_centres(buckets[large]) == pytest.approx(values[large], rel=0.0055)


def test_merged_histograms_are_those_of_all_values() -> None:
    values = RNG.lognormal(0, 2, 500)
    merged = LogHistogram.of([])
    for part in np.split(values, [1, 1, 100]):
        merged = merged.merge(LogHistogram.of(part))
    whole = LogHistogram.of(values)
    assert merged.first == whole.first
    assert (merged.counts == whole.counts).all()
    assert merged.units == 500


def test_quantiles_are_within_half_a_per_cent() -> None:
    values = RNG.lognormal(3, 1, 5000)
    for p in (0.01, 0.5, 0.95, 1.0):
        exact = np.quantile(values, p, method="inverted_cdf")
        assert LogHistogram.of(values).quantile(p) == pytest.approx(exact, rel=0.0051)
    assert np.isnan(LogHistogram.of([]).quantile(0.5))


def test_quantiles_may_be_negative_or_zero() -> None:
    histogram = LogHistogram.of([-5.0, -1.0, 0.0, 0.0, 2.0])
    assert histogram.quantile(0.2) == pytest.approx(-5, rel=0.0051)
    assert histogram.quantile(0.6) == 0
