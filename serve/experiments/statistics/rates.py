"""Two rates compared by the events alone: whose are they, if the rates are equal?

Of the events of two variants with equal shares of the units, each is the candidate's with probability 1/2 if
the rates are equal, and with R / (1 + R) if the candidate's rate is R times the control's. Rates may rise and
fall during the experiment, as long as both do, and events may be few: the test is exact. But units without an
event are not looked at, so it is for rare events; from 10 % on a difference of shares (`means`) needs fewer.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from serve.experiments.statistics.beta_mixture import log_e, log_e_above, log_e_of_cells
from serve.experiments.statistics.looks import Look, Values
from serve.experiments.statistics.samples import Counts

HARM_CONCENTRATION = 4.0
"""Sharpest after some 40 events: a candidate that always fails is found after about ten."""

_STEPS = 80
_FREE_STEPS = 8
_DAMPING = 0.5
_EXACT = 1e-8
_LEAST_GROWTH = 1e-12
_MOST_DISTANCE = 100.0


def compare_rates(
    control: Counts, candidate: Counts, alpha: float, concentration: float, share: float = 0.5
) -> Look:
    """The risk ratio, candidate over control, with its confidence sequence at level 1 - alpha.

    `share` is the candidate's designed share of the units of both; `concentration` is of the planned events.
    """
    k, m = candidate.events, control.events
    evidence = log_e(k, m, share, concentration)
    low, high = odds_interval(k, m, concentration, alpha)
    odds = (1 - share) / share
    with np.errstate(divide="ignore", invalid="ignore"):
        return Look(
            effect=candidate.rate / np.asarray(control.rate),
            low=odds * low,
            high=odds * high,
            log_e=evidence,
            control=control.rate,
            candidate=candidate.rate,
            units=(control.units, candidate.units),
            scale="ratio",
        )


def log_e_harm(control: Counts, candidate: Counts, margin: float, share: float = 0.5) -> Values:
    """The evidence that the candidate's rate is more than 1 + margin times the control's."""
    worst = share * (1 + margin) / (share * (1 + margin) + 1 - share)
    return log_e_above(candidate.events, control.events, worst, HARM_CONCENTRATION)


def odds_interval(k: Values, m: Values, concentration: float, alpha: float) -> tuple[Values, Values]:
    """The confidence sequence of the share of the first among k and m events, as odds.

    The mixture moves along with the share in question, so that a share far from equality is as well bounded
    as one near to it.
    """
    both = np.stack(np.broadcast_arrays(np.asarray(k, np.float64), np.asarray(m, np.float64)))
    least = np.exp(_find_least_log_odds(both, both[::-1], concentration, np.log(1 / alpha)))
    with np.errstate(divide="ignore"):
        return least[0], 1 / least[1]


def _find_least_log_odds(
    k: NDArray[np.float64], m: NDArray[np.float64], concentration: float, level: float
) -> NDArray[np.float64]:
    """Where the evidence falls below the level as log odds rise."""
    counts, first, second = np.stack([k, m], axis=-1), np.maximum(k, 0.5), np.maximum(m, 0.5)

    def measure(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
        shares = np.stack([expit(log_odds), expit(-log_odds)], axis=-1)
        return log_e_of_cells(counts, shares, concentration)

    observed = np.log(first / second)
    least = measure(observed)
    # The evidence grows with the square of the distance from what is observed: nearly, then in proportion.
    distance = np.sqrt(2 * (level - least) / first + 2 * (level - least) / second)
    for count in range(_STEPS):
        growth = np.maximum(measure(observed - distance) - least, _LEAST_GROWTH)
        step = np.sqrt((level - least) / growth)
        distance = np.minimum(distance * step ** (1 if count < _FREE_STEPS else _DAMPING), _MOST_DISTANCE)
        if np.abs(step - 1).max(initial=0) < _EXACT:
            break
    has_end = (k > 0) & (distance < _MOST_DISTANCE)
    return np.where(has_end, observed - distance, -np.inf)
