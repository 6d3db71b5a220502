"""The one look at the end."""

import numpy as np
import pytest
from scipy.stats import ttest_ind

from serve.experiments.statistics.estimates import Estimate, estimate_mean
from serve.experiments.statistics.fixed_horizon import compare_once
from serve.experiments.statistics.samples import Moments


def test_one_look_is_welchs_test() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.exponential(1, 3000), rng.exponential(1.05, 2500)
    look = compare_once(estimate_mean(Moments.of(first)), estimate_mean(Moments.of(second)), 0.05)
    other = ttest_ind(second, first, equal_var=False)
    assert np.exp(-look.log_e) == pytest.approx(other.pvalue, rel=0.01)
    interval = other.confidence_interval(0.95)
    assert look.low == pytest.approx(interval.low, abs=1e-3)
    assert look.high == pytest.approx(interval.high, abs=1e-3)


def test_the_interval_leaves_out_zero_when_p_is_below_alpha() -> None:
    value = np.linspace(-0.2, 0.2, 101)
    look = compare_once(Estimate(0.0, 1.0, 1000.0), Estimate(value, 1.0, 1000.0), 0.01)
    assert (np.asarray(look.is_decided) == (np.asarray(look.log_e) >= np.log(100))).all()


@pytest.mark.parametrize("sample", [Moments(), Moments.of([1.0]), Moments.of(np.ones(500))])
def test_nothing_is_said_without_variation(sample: Moments) -> None:
    look = compare_once(estimate_mean(sample), estimate_mean(sample), 0.05)
    assert (look.low, look.high) == (-np.inf, np.inf)
    assert look.log_e == 0
