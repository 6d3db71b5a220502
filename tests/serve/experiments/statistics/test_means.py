"""Means, ratios and adjusted means: the sequence beside its formula, another library and simulations."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.stats import norm
from ville import normal_mixture

from serve.experiments.statistics.estimates import Estimate, estimate_mean, estimate_rate
from serve.experiments.statistics.looks import Look
from serve.experiments.statistics.means import (
    BURN_IN,
    boundary,
    compare,
    log_e_mean_above,
    sequence_of_mean,
    spread_for,
)
from serve.experiments.statistics.samples import LARGEST, Counts, Moments

RNG = np.random.default_rng(5)
CONTROL = estimate_mean(Moments.of(RNG.exponential(1.0, 2000)))
CANDIDATE = estimate_mean(Moments.of(RNG.exponential(1.3, 2000)))


def test_the_sequence_is_the_published_formula() -> None:
    alpha, planned, n = 0.05, 5000.0, 4000.0
    rho = np.sqrt((-2 * np.log(alpha) + np.log(1 - 2 * np.log(alpha))) / planned)
    half = np.sqrt(n) * np.sqrt(
        2 * (n * rho**2 + 1) / (n**2 * rho**2) * np.log(np.sqrt(n * rho**2 + 1) / alpha)
    )
    assert boundary(n, alpha, planned) == pytest.approx(half)


def test_the_sequence_is_robbins_mixture_as_ville_has_it() -> None:
    spread = spread_for(5000, 0.05)
    n = np.array([200.0, 5000.0, 1e6])
    assert boundary(n, 0.05, 5000) == pytest.approx(normal_mixture(n, 0.05, 1 / spread) / np.sqrt(n))


def test_the_interval_leaves_out_zero_when_the_evidence_reaches_the_level() -> None:
    value = np.linspace(0, 0.3, 200)
    look = compare(Estimate(0.0, 1.0, 2000.0), Estimate(value, 1.0, 2000.0), 0.05, 5000)
    assert (np.asarray(look.is_decided) == (np.asarray(look.log_e) >= np.log(20))).all()
    assert 0 < np.mean(look.is_decided) < 1


def test_a_difference_is_found_with_its_direction() -> None:
    look = compare(CONTROL, CANDIDATE, 0.05, 5000)
    assert 0 < look.low < 0.3 < look.high
    mirrored = compare(CANDIDATE, CONTROL, 0.05, 5000)
    assert (mirrored.low, mirrored.high) == (-look.high, -look.low)


@pytest.mark.parametrize(
    ("control", "candidate"),
    [
        (Moments(), Moments()),
        (Moments.of(np.ones(500)), Moments()),
        (Moments.of(np.ones(500)), Moments.of([3.0])),
        (Moments.of(np.ones(500)), Moments.of(np.ones(500))),
        (Moments.of(np.ones(500)), Moments.of(np.zeros(500))),
        (Moments.of(RNG.normal(size=BURN_IN - 1)), Moments.of(RNG.normal(9, 1, size=5000))),
    ],
)
def test_nothing_is_said_without_units_or_without_variation(control: Moments, candidate: Moments) -> None:
    look = compare(estimate_mean(control), estimate_mean(candidate), 0.05, 5000)
    assert (look.low, look.high, look.log_e) == (-np.inf, np.inf, 0)


def test_a_variant_that_did_not_vary_counts_as_variable_as_both() -> None:
    control, constant = Moments.of(RNG.normal(size=1000)), Moments.of(np.zeros(1000))
    look = compare(estimate_mean(control), estimate_mean(constant), 0.05, 5000)
    pooled = control.squares / 1998
    error = np.sqrt(control.variance / 1000 + pooled / 1000)
    assert (look.high - look.low) / 2 == pytest.approx(error * boundary(2000.0, 0.05, 5000))


@pytest.mark.parametrize("scale", [1e-90, 1.0, LARGEST])
def test_extreme_magnitudes_only_change_the_unit(scale: float) -> None:
    y = np.sign(RNG.normal(size=1000))
    look = compare(
        estimate_mean(Moments.of(y * scale)), estimate_mean(Moments.of(-y * scale / 2)), 0.05, 5000
    )
    unit = compare(estimate_mean(Moments.of(y)), estimate_mean(Moments.of(-y / 2)), 0.05, 5000)
    assert look.low / scale == pytest.approx(unit.low)
    assert look.log_e == pytest.approx(unit.log_e)


@pytest.mark.parametrize("alpha", [1e-15, 0.5])
def test_extreme_levels_keep_the_order(alpha: float) -> None:
    look = compare(CONTROL, CANDIDATE, alpha, 5000)
    assert look.low < look.effect < look.high


def test_units_of_a_trillion_are_no_problem() -> None:
    look = compare(Estimate(1.0, 1.0, 1e12), Estimate(1.0001, 1.0, 1e12), 0.05, 5000)
    assert look.is_decided
    assert np.isfinite(look.log_e)


def test_the_one_sided_evidence_is_the_integral_over_the_upper_half() -> None:
    units, alpha, planned, z = 3000.0, 0.05, 5000.0, 1.7
    scale = np.sqrt(units * spread_for(planned, 2 * alpha))
    exact = quad(lambda drift: 2 * norm.pdf(drift, 0, scale) * np.exp(drift * z - drift**2 / 2), 0, 60)[0]
    assert log_e_mean_above(z, 1.0, units, alpha, planned) == pytest.approx(np.log(exact), abs=1e-8)
    assert log_e_mean_above(-40.0, 1.0, units, alpha, planned) < 0
    assert np.isfinite(log_e_mean_above(-1e6, 1.0, units, alpha, planned))


def test_a_mean_within_pairs_is_compared_with_zero() -> None:
    differences = RNG.choice([-1.0, 0.0, 1.0], 3000, p=[0.05, 0.85, 0.1])
    look = sequence_of_mean(Moments.of(differences), 0.05, 5000)
    assert 0 < look.low < 0.05 < look.high
    nothing = sequence_of_mean(Moments.of(np.zeros(3000)), 0.05, 5000)
    assert (nothing.low, nothing.high, nothing.log_e) == (-np.inf, np.inf, 0)


def test_skewed_outcomes_at_unequal_shares_keep_the_level() -> None:
    # With the variance of each variant alone, about a tenth of these are decided: see benchmarks.
    rng = np.random.default_rng(7)
    decided = np.zeros(200, dtype=bool)
    control = candidate = Moments()
    for _ in range(40):
        control = control.merge(Moments.of(rng.lognormal(0, 1.5, (200, 225))))
        candidate = candidate.merge(Moments.of(rng.lognormal(0, 1.5, (200, 25))))
        look = compare(estimate_mean(control), estimate_mean(candidate), 0.05, 5000)
        decided |= np.asarray(look.is_decided, dtype=bool)
    assert decided.mean() <= 0.05


def test_nothing_is_said_before_ten_rare_outcomes_are_due_in_each_variant() -> None:
    def look(events: float) -> Look:
        control = estimate_rate(Counts(1000, events))
        return compare(control, estimate_rate(Counts(1000, 2 * events)), 0.05, 5000)

    assert np.isinf(look(6).low)
    assert np.isfinite(look(7).low)


def test_the_interval_of_a_sparse_and_skewed_mean_holds_its_effect_from_the_first_look() -> None:
    # Judged from 100 units on, a fifth of these intervals leave it out.
    rng = np.random.default_rng(8)
    outside = np.zeros(200, dtype=bool)
    control = candidate = Moments()

    def draw() -> NDArray[np.float64]:
        return np.where(rng.random((200, 50)) < 0.01, rng.lognormal(0, 1, (200, 50)), 0.0)

    for _ in range(60):
        control = control.merge(Moments.of(draw()))
        candidate = candidate.merge(Moments.of(2 * draw()))
        look = compare(estimate_mean(control), estimate_mean(candidate), 0.05, 5000)
        outside |= np.asarray((look.low > 0.0165) | (look.high < 0.0165), dtype=bool)
    assert outside.mean() <= 0.05
