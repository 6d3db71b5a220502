"""The closed form, beside integrals, exact enumeration, a running product and another library."""

from itertools import product
from math import comb

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import betaln, logsumexp
from ville import BernoulliTest

from serve.experiments.statistics.beta_mixture import (
    concentration_for,
    log_e,
    log_e_above,
    log_e_of_cells,
)


def _integrate(k: float, m: float, theta: float, concentration: float, lowest: float) -> float:
    """The mixture of likelihood ratios by quadrature, over shares from `lowest` to 1."""
    a, b = concentration * theta - 1, concentration * (1 - theta) - 1

    def log_prior(share: float) -> float:
        return float(a * np.log(share) + b * np.log1p(-share))

    def log_ratio(share: float) -> float:
        return float(k * np.log(share / theta) + m * np.log((1 - share) / (1 - theta)))

    grid = np.linspace(lowest, 1, 4001)[1:-1]
    peak = max(log_prior(share) + log_ratio(share) for share in grid)
    near = [lowest + step for step in (1e-4, 1e-3, 1e-2)]
    ratio = quad(
        lambda share: np.exp(log_prior(share) + log_ratio(share) - peak), lowest, 1, points=near, limit=500
    )
    prior = quad(lambda share: np.exp(log_prior(share)), lowest, 1, limit=500)
    return float(peak + np.log(ratio[0] / prior[0]))


CASES = [(0, 0, 0.5, 62), (10, 3, 0.5, 62), (3, 10, 0.5, 62), (40, 400, 0.1, 30), (90, 5900, 0.9, 62)]


@pytest.mark.parametrize(("k", "m", "theta", "concentration"), CASES)
def test_evidence_is_the_integral_over_the_mixture(
    k: int, m: int, theta: float, concentration: float
) -> None:
    if k != 90:  # where quadrature over all shares is exact enough
        assert log_e(k, m, theta, concentration) == pytest.approx(
            _integrate(k, m, theta, concentration, 0), abs=1e-6
        )
    above = _integrate(k, m, theta, concentration, theta)
    assert log_e_above(k, m, theta, concentration) == pytest.approx(above, abs=1e-6)


def test_evidence_is_the_product_of_predictive_probabilities() -> None:
    events = np.random.default_rng(1).random(500) < 0.6
    theta, concentration, product_of_ratios = 0.5, 20.0, 0.0
    k = m = 0
    for event in events:
        predicted = (concentration * theta + k) / (concentration + k + m)
        product_of_ratios += np.log(predicted / theta if event else (1 - predicted) / (1 - theta))
        k, m = k + event, m + (not event)
        assert log_e(k, m, theta, concentration) == pytest.approx(product_of_ratios, abs=1e-9)


def test_evidence_agrees_with_ville() -> None:
    events = (np.random.default_rng(2).random(300) < 0.2).astype(float)
    theta, concentration = 0.15, 40.0
    other = BernoulliTest(theta, prior=(concentration * theta, concentration * (1 - theta)))
    k, n = np.cumsum(events), np.arange(1, 301.0)
    assert log_e(k, n - k, theta, concentration) == pytest.approx(other.fit(events).log_e_values_, abs=1e-8)


@pytest.mark.parametrize("theta", [0.5, 0.1])
def test_evidence_is_a_martingale_without_effect(theta: float) -> None:
    for n in range(1, 30):
        k = np.arange(n + 1.0)
        chance = np.array([comb(n, int(i)) for i in k]) * theta**k * (1 - theta) ** (n - k)
        assert np.sum(chance * np.exp(log_e(k, n - k, theta, 8.0))) == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.3])
def test_evidence_of_harm_shrinks_on_average_up_to_the_margin(share: float) -> None:
    k = np.arange(41.0)
    chance = np.array([comb(40, int(i)) for i in k]) * share**k * (1 - share) ** (40 - k)
    expected = np.sum(chance * np.exp(log_e_above(k, 40 - k, 0.3, 8.0)))
    assert expected <= 1 + 1e-9
    assert (expected == pytest.approx(1, abs=1e-9)) == (share == 0.3)


def test_evidence_of_many_cells_is_a_martingale_too() -> None:
    shares, n = np.array([0.5, 0.3, 0.2]), 6
    expected = 0.0
    for sequence in product(range(3), repeat=n):
        counts = np.bincount(sequence, minlength=3)
        expected += float(np.prod(shares[list(sequence)]) * np.exp(log_e_of_cells(counts, shares, 5.0)))
    assert expected == pytest.approx(1, abs=1e-10)


def test_evidence_is_exact_for_counts_of_a_trillion() -> None:
    # Where gammaln of such counts has an error of 0.01: both halves as large, so the divergence is 0.
    half, concentration = 5e11, 62.0
    expected = 0.5 * np.log(concentration / (2 * half))
    assert log_e(half, half, 0.5, concentration) == pytest.approx(expected, abs=0.01)
    step = 1e6
    gain = log_e(half + step, half - step, 0.5, concentration) - log_e(half, half, 0.5, concentration)
    assert gain == pytest.approx(2 * step**2 / (2 * half), rel=1e-6)


def test_evidence_of_harm_is_finite_far_from_the_margin() -> None:
    k = np.array([0.0, 0.0, 1e12, 1e6, 1e12, 0.0])
    m = np.array([0.0, 1e12, 0.0, 1e12, 1e12, 1e6])
    evidence = np.asarray(log_e_above(k, m, 0.5, 62.0))
    assert np.isfinite(evidence).all()
    assert evidence[0] == 0
    assert evidence[2] > 1e11
    assert (evidence[[1, 3, 5]] < 0).all()


def test_evidence_of_harm_far_below_the_margin_continues_the_exact_form() -> None:
    m = np.arange(900.0, 1100.0)  # the tail leaves the range of float64 in between
    evidence = np.asarray(log_e_above(0.0, m, 0.5, 62.0))
    steps = np.diff(evidence)
    assert (steps < 0).all()
    assert np.abs(np.diff(steps)).max() < 1e-3


def test_evidence_works_elementwise_as_alone() -> None:
    k, m = np.arange(12.0).reshape(3, 4), np.full((3, 4), 5.0)
    together: NDArray[np.float64] = np.asarray(log_e_above(k, m, 0.4, 9.0))
    assert together.shape == (3, 4)
    assert together[2, 1] == log_e_above(9.0, 5.0, 0.4, 9.0)


def test_the_concentration_is_about_an_eighth_of_the_plan() -> None:
    assert concentration_for(500, 0.05) == pytest.approx(62, abs=0.1)
    assert concentration_for(0, 0.05) == 1


@pytest.mark.parametrize("alpha", [0.05, 0.001])
def test_the_chosen_concentration_needs_close_to_the_fewest_events(alpha: float) -> None:
    events = 1000

    def least_excess(concentration: float) -> float:
        k = np.arange(500.0, 1001)
        return float(k[np.asarray(log_e(k, events - k, 0.5, concentration)) >= np.log(1 / alpha)][0])

    best = min(least_excess(concentration) for concentration in np.geomspace(2, 2000, 60))
    assert least_excess(concentration_for(events, alpha)) <= best + 1


def test_the_ends_of_a_mixture_sum_to_the_whole() -> None:
    # The mixture above theta and the mirrored one below, weighted by their prior mass, are the whole one.
    k, m, theta, concentration = 14.0, 9.0, 0.4, 11.0
    lower = log_e_above(m, k, 1 - theta, concentration)
    upper = log_e_above(k, m, theta, concentration)
    a, b = concentration * theta, concentration * (1 - theta)
    mass = quad(lambda x: np.exp((a - 1) * np.log(x) + (b - 1) * np.log1p(-x) - betaln(a, b)), theta, 1)[0]
    whole = logsumexp([np.log(mass) + upper, np.log1p(-mass) + lower])
    assert log_e(k, m, theta, concentration) == pytest.approx(whole, abs=1e-9)
