"""The simulation of verdicts, in small."""

import math

import numpy as np
import pytest

from benchmarks.experiment_harm import HARMS, simulate_harm, simulate_splits
from benchmarks.experiment_shadow import simulate_shadow
from benchmarks.experiment_statistics import Size, simulate_metric
from benchmarks.experiment_streams import METRICS, Batch, Metric

SMALL = Size(runs=20, units=2000)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_each_metric_draws_what_its_true_effect_says(metric: Metric) -> None:
    rng = np.random.default_rng(1)
    arms = rng.random((20, 20_000)) < 0.5
    samples = metric.draw(Batch(rng, arms, base=1.0, effect=1.5))
    effect = np.mean(metric.compare(*samples, 0.5).effect)
    truth = metric.true_effect(1.5) if metric.true_effect else 1.5
    assert effect == pytest.approx(truth, rel=0.1)
    assert np.sum(samples[0].units) + np.sum(samples[1].units) == arms.size


def test_equal_variants_are_seldom_decided_and_large_effects_are() -> None:
    metric = METRICS[0]
    nothing = simulate_metric(metric, np.random.default_rng(2), SMALL)
    assert nothing.decided == 1 - nothing.covered
    assert nothing.median is None
    large = simulate_metric(metric, np.random.default_rng(2), SMALL, effect=3.0)
    assert large.decided == large.once == 1
    assert large.median is not None
    assert large.median <= 2000


def test_unequal_shares_are_drawn_as_such() -> None:
    course = simulate_metric(METRICS[1], np.random.default_rng(3), SMALL, share=0.1, drift=0.8)
    assert 0 <= course.decided <= course.watched + 1


def test_broken_splits_are_found() -> None:
    alarms = {row.name: row.alarms for row in simulate_splits(20, 2000, 100)}
    assert alarms["honest, 50/50"] == 0
    assert alarms["one variant of two gets nothing"] == 1


def test_harm_is_found_and_none_is_not() -> None:
    assert simulate_harm(HARMS[0], 20).stopped < 0.2
    row = simulate_harm(HARMS[4], 20)
    assert row.stopped == 1
    assert row.median <= row.late < math.inf


def test_pairs_need_fewer_requests_than_groups() -> None:
    equal, better = simulate_shadow(20, 4000, 100)
    assert equal.pairs < better.pairs
    assert better.median_pairs < better.median_units
