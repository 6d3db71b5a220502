"""The closed form that most comparisons rest on: a Beta mixture over shares against one given share.

A sequence of events falls into cells, such as a success of the control and one of the candidate, whose shares
are known if there is no effect. The e-value is how much more likely the counts are under shares drawn from a
Dirichlet distribution around the known ones. While there is no effect it is a martingale that starts at 1, so
it reaches 1/alpha at any time with probability alpha at most, however often one looks (Ville 1939).

Sources: Robbins 1970, https://doi.org/10.1214/aoms/1177696786; Lindon & Malek 2020,
https://arxiv.org/abs/2011.03567; Howard & Ramdas 2022, https://arxiv.org/abs/1906.09712.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincc, betaln, gammaln

from serve.experiments.statistics.looks import Values

_HALF_LOG_2_PI = 0.5 * float(np.log(2 * np.pi))
_STIRLING_FROM = 16.0
_SMALLEST_TAIL = 1e-280


def concentration_for(planned_events: float, alpha: float) -> float:
    """The concentration at which `planned_events` suffice for the smallest effects, about an eighth of them.

    From the optimal variance of Robbins' mixture: Waudby-Smith et al. 2021, https://arxiv.org/abs/2103.06476.
    """
    logs = 2 * np.log(1 / alpha)
    return max(float(planned_events / (logs + np.log1p(logs))) - 1, 1.0)


def log_e(k: Values, m: Values, theta: Values, concentration: Values) -> Values:
    """The logarithm of the e-value of k and m events against shares theta and 1 - theta."""
    counts = np.stack(np.broadcast_arrays(k, m), axis=-1).astype(np.float64)
    shares = np.stack(np.broadcast_arrays(theta, 1 - np.asarray(theta, np.float64)), axis=-1)
    return log_e_of_cells(counts, shares, concentration)


def log_e_of_cells(counts: ArrayLike, shares: ArrayLike, concentration: Values) -> NDArray[np.float64]:
    """The same for any number of cells, which are the last axis; `shares` are positive and sum to 1."""
    known = np.asarray(shares, np.float64)
    before = known * np.asarray(concentration, np.float64)[..., None]
    after = before + np.asarray(counts, np.float64)
    return np.asarray(_log_dirichlet(after, known) - _log_dirichlet(before, known))


def log_e_above(k: Values, m: Values, theta: Values, concentration: Values) -> Values:
    """The logarithm of the e-value of k and m events against "the share of the first is theta at most".

    The mixture is cut off below theta, so it is a supermartingale for every smaller share too.
    """
    rest = 1 - np.asarray(theta, np.float64)
    a, b = concentration * np.asarray(theta, np.float64), concentration * rest
    kept = betaincc(a + k, b + m, theta)
    with np.errstate(divide="ignore", invalid="ignore"):
        whole = log_e(k, m, theta, concentration) + np.log(kept)
        # Far below theta the tail of the mixture is exponential, and too small for float64 on its own.
        slope = (b + m - 1) / rest - (a + k - 1) / theta
        bend = (a + k - 1) / theta**2 + (b + m - 1) / rest**2
        edge = (a - 1) * np.log(theta) + (b - 1) * np.log(rest) - betaln(a, b)
        tail = edge - np.log(slope + bend / slope)
    return np.where(kept > _SMALLEST_TAIL, whole, tail) - np.log(betaincc(a, b, theta))


def _log_dirichlet(weights: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """ln of the multivariate Beta function B(weights), less the sum of weights * ln(shares).

    Written by Stirling's formula as a divergence, since gammaln of 10^12 events would cancel to noise.
    """
    total = weights.sum(axis=-1, keepdims=True)
    expected = total * shares
    gap = np.maximum((weights - expected) / expected, -0.5)
    logs = np.where(gap > -0.5, np.log1p(gap), np.log(weights / expected))
    cells = weights * logs - np.log(weights) / 2 + _stirling_rest(weights) + _HALF_LOG_2_PI
    whole = np.log(total) / 2 - _stirling_rest(total) - _HALF_LOG_2_PI
    return np.asarray(cells.sum(axis=-1) + whole[..., 0])


def _stirling_rest(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """What Stirling's formula for gammaln(x) lacks: the series where x is large, else the difference."""
    small = np.minimum(x, _STIRLING_FROM)
    exact = gammaln(small) - ((small - 0.5) * np.log(small) - small + _HALF_LOG_2_PI)
    large = np.maximum(x, _STIRLING_FROM)
    square = large**-2
    series = (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680))) / large
    return np.where(x < _STIRLING_FROM, exact, series)
