"""Comparisons in shadow."""

import numpy as np
import pytest
from scipy.stats import binom
from ville import BernoulliCS

from serve.experiments.statistics.beta_mixture import log_e
from serve.experiments.statistics.pairs import (
    compare_accuracies,
    compare_pairs,
    log_e_disagreement,
    measure_agreement,
)
from serve.experiments.statistics.samples import Counts, Moments


def test_only_the_requests_on_which_the_two_differ_count() -> None:
    look = compare_pairs(only_control=40, only_candidate=80, alpha=0.05, concentration=12.0)
    assert look.effect == 2
    assert 1 < look.low < 2 < look.high
    assert look.log_e == log_e(80, 40, 0.5, 12.0)


def test_a_tie_and_no_difference_say_nothing() -> None:
    assert not compare_pairs(50, 50, 0.05, 12.0).is_decided
    nothing = compare_pairs(0, 0, 0.05, 12.0)
    assert (nothing.low, nothing.high, nothing.log_e) == (0, np.inf, 0)


def test_the_sequence_needs_more_pairs_than_one_exact_test_but_not_many() -> None:
    won = np.arange(50.0, 101)
    once = won[2 * binom.sf(won - 1, 100, 0.5) < 0.05][0]
    anytime = won[np.asarray(compare_pairs(100 - won, won, 0.05, 12.0).is_decided, dtype=bool)][0]
    assert once < anytime <= once + 8


def test_accuracies_are_compared_within_pairs() -> None:
    differences = np.repeat([1.0, -1.0, 0.0], [120, 60, 2820])
    look = compare_accuracies(Moments.of(differences), 0.05, 5000)
    assert look.effect == pytest.approx(0.02)
    assert 0 < look.low < 0.02 < look.high


def test_agreement_has_the_interval_of_ville() -> None:
    answers = (np.random.default_rng(3).random(400) < 0.95).astype(float)
    look = measure_agreement(Counts(400, answers.sum()), 0.05)
    other = BernoulliCS(0.05, prior=(1, 1), intersect=False).fit(answers)
    assert look.low == pytest.approx(other.lower_[-1], abs=0.02)
    assert look.high == pytest.approx(other.upper_[-1], abs=0.02)
    assert look.low < look.effect < look.high


@pytest.mark.parametrize(("agreed", "low", "high"), [(0, 0, 0.05), (300, 0.95, 1)])
def test_agreement_always_or_never_has_one_open_end(agreed: int, low: float, high: float) -> None:
    look = measure_agreement(Counts(300, agreed), 0.05)
    assert low <= look.low < look.high <= high


def test_disagreement_beyond_the_margin_is_found() -> None:
    assert log_e_disagreement(Counts(500, 45), 0.1, 50.0) < 0
    assert log_e_disagreement(Counts(500, 90), 0.1, 50.0) > np.log(20)
    assert log_e_disagreement(Counts(), 0.1, 50.0) == 0


def test_any_disagreement_is_harm_where_none_is_tolerated() -> None:
    assert log_e_disagreement(Counts(500, 0), 0.0, 50.0) <= 0
    assert log_e_disagreement(Counts(500, 3), 0.0, 50.0) > np.log(20)
    assert np.isfinite(log_e_disagreement(Counts(500, 500), 1.0, 50.0))
