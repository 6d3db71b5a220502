import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from serve.drift.judging import ALARMS_PER_DAY, LOOKS_PER_DAY
from serve.drift.measures import (
    bound_ks,
    bound_share,
    compute_ks,
    compute_psi,
    expect_psi,
    find_chi_square,
    is_psi_beyond_chance,
)
from serve.drift.window import SLICES

CELLS = 20
ALPHAS = (1e-2, 1e-5, 1e-9)
Counts = NDArray[np.int64]


def _draw(random: np.random.Generator, rows: int, shape: tuple[int, ...], cells: int = CELLS) -> Counts:
    return random.multinomial(rows, np.full(cells, 1 / cells), shape)


def test_psi_is_its_formula() -> None:
    live, base = np.array([0.1, 0.2, 0.7]), np.array([0.3, 0.3, 0.4])
    expected = sum((p - q) * np.log(p / q) for p, q in zip(live, base, strict=True))
    assert compute_psi(live, base, 1e9, 1e9) == pytest.approx(expected, rel=1e-6)


def test_psi_of_cells_that_are_empty_on_one_side_is_finite() -> None:
    live, base = np.array([0.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0])
    assert 5 < compute_psi(live, base, 1000, 1000) < 50
    assert compute_psi(live, live, 1000, 10) >= 0


@pytest.mark.parametrize("values", [50, 5])
def test_ks_is_that_of_two_samples(values: int) -> None:
    """Where every value is an edge, also with ties, the cells hide nothing."""
    random = np.random.default_rng(0)
    first, second = random.integers(values, size=300), random.integers(values, size=200) // 2 * 2
    edges = np.arange(values + 1)
    shares = [np.histogram(each, [-1, *edges[1:], values + 9])[0] / len(each) for each in (first, second)]
    assert compute_ks(shares[0], shares[1]) == pytest.approx(stats.ks_2samp(first, second).statistic)


def test_one_cell_tells_nothing() -> None:
    one = np.ones(1)
    assert compute_ks(one, one) == 0
    assert compute_psi(one, one, 10, 10) == 0
    assert not is_psi_beyond_chance(one, one, 1e9, 1e9, 0.5)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("degrees", [1, 2, 5, 19, 63])
def test_the_quantile_of_chi_square_is_hardly_too_small(degrees: int, alpha: float) -> None:
    exact = stats.chi2.isf(alpha, degrees)
    assert 0.99 * exact < find_chi_square(degrees, alpha) < 1.4 * exact


def test_chance_adds_to_psi_what_is_taken_off() -> None:
    random = np.random.default_rng(1)
    live, base = _draw(random, 800, (500,)) / 800, _draw(random, 400, (500,)) / 400
    found = [compute_psi(first, second, 800, 400) for first, second in zip(live, base, strict=True)]
    assert np.mean(found) == pytest.approx(expect_psi(CELLS, 800, 400), rel=0.05)


@pytest.mark.parametrize(("rows", "base_rows"), [(500, 100), (500, 10_000), (36_000, 100), (3000, 3000)])
def test_tests_reject_what_is_alike_at_most_as_often_as_they_say(rows: int, base_rows: int) -> None:
    random, trials, alpha = np.random.default_rng(2), 3000, 0.02
    live, base = _draw(random, rows, (trials,)) / rows, _draw(random, base_rows, (trials,)) / base_rows
    pairs = list(zip(live, base, strict=True))
    most = stats.binom.isf(1e-4, trials, alpha)
    assert sum(is_psi_beyond_chance(*pair, rows, base_rows, alpha) for pair in pairs) <= most
    assert sum(compute_ks(*pair) > bound_ks(rows, base_rows, alpha) for pair in pairs) <= most


@pytest.mark.parametrize(("rows", "base_rows"), [(500, 10**6), (10**5, 200)])
def test_a_category_that_is_hardly_there_raises_no_alarm(rows: int, base_rows: int) -> None:
    random, trials, alpha = np.random.default_rng(3), 2000, 0.01
    shares = np.array([0.5, 0.4999, *np.full(10, 1e-5)])
    live = random.multinomial(rows, shares, trials) / rows
    base = random.multinomial(base_rows, shares, trials) / base_rows
    alarms = sum(
        is_psi_beyond_chance(first, second, rows, base_rows, alpha)
        for first, second in zip(live, base, strict=True)
    )
    assert alarms <= stats.binom.isf(1e-4, trials, alpha)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3])
def test_the_bound_of_a_share_is_seldom_passed(share: float) -> None:
    random, trials, alpha = np.random.default_rng(4), 20_000, 0.05
    live, base = random.binomial(500, share, trials) / 500, random.binomial(200, share, trials) / 200
    passed = sum(
        first > bound_share(second, 500, 200, alpha) for first, second in zip(live, base, strict=True)
    )
    assert passed <= stats.binom.isf(1e-4, trials, alpha)


@pytest.mark.slow
def test_stable_traffic_looked_at_every_minute_raises_no_alarm_for_weeks() -> None:
    """The tests alone, without the limits of how much has shifted, which make alarms rarer still."""
    random, days, looks, a_minute, base_rows = np.random.default_rng(5), 40, int(LOOKS_PER_DAY), 17, 300
    alpha = ALARMS_PER_DAY / (LOOKS_PER_DAY * 3)
    per_slice = looks // 24 // SLICES
    alarms = 0
    for _ in range(days):
        base = _draw(random, base_rows, ()) / base_rows
        summed = np.cumsum(_draw(random, a_minute, (looks,)), axis=0)
        # At a look the newest slice is partly full, and the others are whole.
        begins = [max(look // per_slice - SLICES + 1, 0) * per_slice for look in range(looks)]
        windows = summed - np.where(np.array(begins)[:, None] > 0, summed[np.maximum(begins, 1) - 1], 0)
        rows = windows.sum(axis=1)
        seen = rows >= 500
        live = windows[seen] / rows[seen, None]
        alarms += any(
            is_psi_beyond_chance(each, base, count, base_rows, alpha)
            or compute_ks(each, base) > bound_ks(count, base_rows, alpha)
            for each, count in zip(live, rows[seen], strict=True)
        )
    assert alarms <= stats.binom.isf(1e-3, days, ALARMS_PER_DAY)
