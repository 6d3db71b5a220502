"""How far apart two distributions over the same cells are, and whether chance explains it.

Each counts as many observations as it has rows, however many values a row has: the values of a row depend on
each other. Where rows do not, this is on the safe side: a row's shares of the cells vary at most as much as
those of one value of it.

Sources:
Siddiqi 2006, Credit Risk Scorecards: the population stability index and its conventional limits.
Yurdakul and Naranjo 2020, https://EconPapers.repec.org/RePEc:rsk:journ5:7725371: without a shift the index is
(1/n + 1/m) times a chi-square of cells - 1 degrees.
Wei and Dudley 2012, https://doi.org/10.1016/j.spl.2011.11.012: the bound of the Kolmogorov-Smirnov distance,
proved for equal numbers, computed for others up to 200 and conjectured beyond, with 2 where 3 stands here.
Boucheron, Lugosi and Massart 2013, Concentration Inequalities: Bernstein's bound of a share.
Wilson and Hilferty 1931, https://doi.org/10.1073/pnas.17.12.684: the quantile of chi-square.
"""

from math import log, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Shares = NDArray[np.float64]

HALF = 0.5
"""Observations added to each cell, so that an empty one has a logarithm."""
LEAST_IN_CELL = 10
"""So many observations of the smaller number a cell counts for at least: chi-square holds for no fewer."""


def compute_psi(live: Shares, base: Shares, rows: float, base_rows: float) -> float:
    """The population stability index: the sum over the cells of (p - q) ln(p / q)."""
    p, q = _smooth(live, rows), _smooth(base, base_rows)
    return float(((p - q) * np.log(p / q)).sum())


def expect_psi(cells: int, rows: float, base_rows: float) -> float:
    """What the index is on average where nothing has shifted: never 0, since both numbers are finite."""
    return (cells - 1) * (1 / rows + 1 / base_rows)


def compute_ks(live: Shares, base: Shares) -> float:
    """The Kolmogorov-Smirnov distance at the cells' edges: at most a cell's share below the true one."""
    return float(np.abs(np.cumsum(live - base)[:-1]).max(initial=0.0))


def is_psi_beyond_chance(live: Shares, base: Shares, rows: float, base_rows: float, alpha: float) -> bool:
    """Whether Pearson's test of equal shares rejects at `alpha`."""
    if len(live) == 1:
        return False
    both = (rows * live + base_rows * base) / (rows + base_rows)
    expected = np.maximum(both, LEAST_IN_CELL / min(rows, base_rows))
    statistic = ((live - base) ** 2 / expected).sum() / (1 / rows + 1 / base_rows)
    return bool(statistic > find_chi_square(len(live) - 1, alpha))


def bound_ks(rows: float, base_rows: float, alpha: float) -> float:
    """The distance that chance exceeds with a probability of at most `alpha`."""
    return sqrt(log(3 / alpha) / 2 * (1 / rows + 1 / base_rows))


def bound_share(base: float, rows: float, base_rows: float, alpha: float) -> float:
    """The live share that chance exceeds with a probability of at most `alpha`, beside one of real data."""
    strength = log(2 / alpha)  # half of alpha for each of the two
    true = base + sqrt(2 * base * strength / base_rows) + 2 * strength / base_rows
    return true + sqrt(2 * true * strength / rows) + 2 * strength / (3 * rows)


def find_chi_square(degrees: int, alpha: float) -> float:
    """What a chi-square of so many degrees exceeds with probability `alpha`, or somewhat more than that."""
    spread = 2 / (9 * degrees)
    root = 1 - spread - NormalDist().inv_cdf(alpha) * sqrt(spread)
    return float(degrees * root**3)


def _smooth(shares: Shares, rows: float) -> Shares:
    return (rows * shares + HALF) / (rows + HALF * len(shares))
