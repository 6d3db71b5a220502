"""Rates compared by the events alone."""

import numpy as np
import pytest
from scipy.optimize import brentq

from serve.experiments.statistics.beta_mixture import log_e
from serve.experiments.statistics.rates import compare_rates, log_e_harm, odds_interval
from serve.experiments.statistics.samples import Counts


def test_equal_rates_give_a_ratio_of_one_inside_the_interval() -> None:
    look = compare_rates(Counts(1000, 100), Counts(1000, 100), 0.05, 62.0)
    assert look.effect == 1
    assert look.low < 1 < look.high
    assert look.low * look.high == pytest.approx(1)
    assert look.log_e < 0


@pytest.mark.parametrize(
    ("m", "k"), [(100, 140), (0, 30), (30, 0), (1, 2), (0, 9), (5, 900), (10**6, 10**6 + 4000)]
)
@pytest.mark.parametrize("share", [0.5, 0.1])
def test_the_interval_holds_the_ratios_that_the_evidence_leaves(m: int, k: int, share: float) -> None:
    alpha, concentration = 0.05, 30.0
    look = compare_rates(Counts(10**7, m), Counts(10**7, k), alpha, concentration, share)

    def excess(log_ratio: float) -> float:
        """The evidence against a risk ratio, less the level."""
        theta = 1 / (1 + (1 - share) / share * np.exp(-log_ratio))
        return float(log_e(k, m, theta, concentration) - np.log(1 / alpha))

    middle = np.log(max(k, 0.5) / max(m, 0.5) * (1 - share) / share)
    if k > 1:
        assert np.log(look.low) == pytest.approx(brentq(excess, middle - 20, middle), abs=1e-5)
    else:
        assert look.low == 0
    if m > 1:
        assert np.log(look.high) == pytest.approx(brentq(excess, middle, middle + 20), abs=1e-5)
    else:
        assert look.high == np.inf


@pytest.mark.parametrize("k", [5.0, 8.0, 9.0, 12.0])
def test_the_interval_of_few_events_of_one_variant_is_exact(k: float) -> None:
    # Here the search oscillates around the end, unless it is damped.
    low, _ = odds_interval(k, 0.0, 62.0, 0.05)
    shares = np.array([1, 1 + 1e-5, 1 - 1e-5]) * low
    evidence = np.asarray(log_e(k, 0.0, shares / (1 + shares), 62.0))
    assert evidence[2] > np.log(20) > evidence[1]


@pytest.mark.parametrize(("k", "m"), [(0.0, 4.0), (3.0, 1.0), (20.0, 31.0), (300.0, 30.0)])
def test_the_interval_has_no_gaps(k: float, m: float) -> None:
    shares = np.linspace(0.0005, 0.9995, 1000)
    is_left = np.asarray(log_e(k, m, shares, 20.0)) < np.log(20)
    low, high = odds_interval(k, m, 20.0, 0.05)
    odds = shares / (1 - shares)
    assert (is_left == ((odds > low) & (odds < high))).all()


def test_the_interval_leaves_out_one_when_the_evidence_reaches_the_level() -> None:
    k = np.arange(100.0, 220.0)
    look = compare_rates(Counts(1000.0, np.full_like(k, 100.0)), Counts(1000.0, k), 0.05, 30.0)
    assert (np.asarray(look.is_decided) == (np.asarray(look.log_e) >= np.log(20))).all()
    assert np.asarray(look.is_decided).any()


def test_nothing_is_said_without_events() -> None:
    for control, candidate in (
        (Counts(), Counts()),
        (Counts(500, 0), Counts(500, 0)),
        (Counts(), Counts(9, 0)),
    ):
        look = compare_rates(control, candidate, 0.05, 62.0)
        assert (look.low, look.high, look.log_e) == (0, np.inf, 0)
        assert np.isnan(look.effect)


@pytest.mark.parametrize("alpha", [1e-12, 1e-4, 0.5])
def test_extreme_levels_keep_the_order(alpha: float) -> None:
    look = compare_rates(Counts(1000, 100), Counts(1000, 140), alpha, 62.0)
    assert 0 < look.low < look.effect < look.high < np.inf


def test_counts_of_a_trillion_give_narrow_intervals() -> None:
    look = compare_rates(Counts(1e13, 1e12), Counts(1e13, 1.001e12), 0.05, 62.0)
    assert look.low == pytest.approx(1.001, abs=1e-4)
    assert look.high == pytest.approx(1.001, abs=1e-4)
    assert look.is_decided


def test_harm_within_the_margin_is_no_evidence() -> None:
    assert log_e_harm(Counts(1000, 20), Counts(1000, 25), margin=0.5) < 0
    assert log_e_harm(Counts(1000, 20), Counts(1000, 90), margin=0.5) > np.log(100)
    assert log_e_harm(Counts(), Counts(), margin=0.5) == 0


def test_errors_of_the_candidate_alone_are_found_soon() -> None:
    assert log_e_harm(Counts(50, 0), Counts(50, 10), margin=0.5) > np.log(20)


def test_margin_zero_means_no_more_than_the_control() -> None:
    assert log_e_harm(Counts(100, 5), Counts(100, 5), margin=0.0) < np.log(2)
    assert log_e_harm(Counts(100, 5), Counts(100, 40), margin=0.0) > np.log(100)


def test_hostile_counts_give_ordered_intervals() -> None:
    counts = 10.0 ** np.arange(0, 13)
    k, m = np.meshgrid(np.concatenate([[0.0], counts]), np.concatenate([[0.0], counts]))
    low, high = odds_interval(k, m, 62.0, 0.05)
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = k / m
    assert (np.asarray(low) < np.asarray(high)).all()
    known = (k > 0) & (m > 0)
    assert (np.asarray(low)[known] <= odds[known]).all()
    assert (np.asarray(high)[known] >= odds[known]).all()
