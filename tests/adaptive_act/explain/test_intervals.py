"""Intervals and tests, against published numbers, other formulas and simulation."""

from itertools import product
from math import comb

import numpy as np
import pytest
from scipy import stats

from adaptive_act.explain.intervals import bootstrap_means, mcnemar_p, newcombe_interval, wilson_interval


def test_wilson_is_as_published() -> None:
    """Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, 81 of 263."""
    found = wilson_interval(81, 263)
    assert (found.low, found.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)


@pytest.mark.parametrize("count", [0, 7, 10])
def test_wilson_solves_its_score_equation(count: int) -> None:
    found, z = wilson_interval(count, 10), stats.norm.ppf(0.975)
    for bound in {found.low, found.high} - {0.0, 1.0}:
        assert abs(count / 10 - bound) == pytest.approx(z * np.sqrt(bound * (1 - bound) / 10))


@pytest.mark.parametrize(("share", "gain", "loss"), [(0.9, 0.05, 0.02), (0.6, 0.1, 0.1), (0.97, 0.02, 0.0)])
def test_the_paired_interval_covers_the_truth(share: float, gain: float, loss: float) -> None:
    """Of 100 pairs, gains, losses, both right, neither: the interval holds the true change in some 95 %."""
    random = np.random.default_rng(0)
    drawn = random.multinomial(100, [gain, loss, share - loss, 1 - share - gain], size=600)
    found = [newcombe_interval(*map(int, counts)) for counts in drawn]
    covered = np.mean([one.low <= gain - loss <= one.high for one in found])
    assert 0.93 <= covered <= 1


def test_the_paired_interval_is_narrower() -> None:
    paired, before, after = (
        newcombe_interval(10, 4, 80, 6),
        wilson_interval(84, 100),
        wilson_interval(90, 100),
    )
    unpaired = np.hypot(after.value - after.low, before.high - before.value)
    assert 0 < paired.value - paired.low < unpaired


@pytest.mark.parametrize("counts", [(0, 0, 50, 0), (0, 0, 0, 50), (0, 0, 25, 25), (50, 0, 0, 0)])
def test_few_cases_leave_doubt_even_where_nothing_changed(counts: tuple[int, int, int, int]) -> None:
    found = newcombe_interval(*counts)
    assert found.high - found.low > 0.01
    assert -1 <= found.low <= found.value <= found.high <= 1


def test_gains_and_losses_exchanged_change_the_sign() -> None:
    for gained, lost, both, neither in product((0, 3), (1, 5), (0, 20), (2,)):
        one = newcombe_interval(gained, lost, both, neither)
        other = newcombe_interval(lost, gained, both, neither)
        assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (2, 9), (10, 10), (30, 12)])
def test_mcnemar_is_the_two_sided_binomial(gained: int, lost: int) -> None:
    of = gained + lost
    tail = sum(comb(of, k) for k in range(min(gained, lost) + 1)) / 2**of
    assert mcnemar_p(gained, lost) == pytest.approx(min(1.0, 2 * tail))


def test_a_mean_has_the_interval_of_the_central_limit() -> None:
    values = np.random.default_rng(1).normal(2.0, 3.0, size=(4000, 2))
    found = bootstrap_means(values, seed=0)[1]
    half = 1.96 * values[:, 1].std() / np.sqrt(4000)
    assert found.value == pytest.approx(values[:, 1].mean())
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half), abs=0.15 * half)


def test_the_bootstrap_does_not_depend_on_its_chunks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = np.random.default_rng(1).normal(size=(50, 1))
    whole = bootstrap_means(values, seed=3)
    monkeypatch.setattr("adaptive_act.explain.intervals._AT_ONCE", 1000)
    assert bootstrap_means(values, seed=3) == whole
    assert bootstrap_means(values, seed=4) != whole
