"""Pairs in shadow beside two groups of units: how many requests the same difference takes."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.experiment_streams import ALPHA, PLANNED
from serve.experiments.statistics.beta_mixture import concentration_for
from serve.experiments.statistics.pairs import compare_pairs
from serve.experiments.statistics.rates import compare_rates
from serve.experiments.statistics.samples import Counts

BOTH_WRONG = 0.07


@dataclass(frozen=True, slots=True)
class ShadowRow:
    """Two accuracies, compared within pairs and between groups."""

    accuracies: str
    pairs: float
    median_pairs: float
    covered: float
    groups: float
    median_units: float


def simulate_shadow(runs: int, units: int, look: int) -> list[ShadowRow]:
    """Equal models, and one that is better by two points."""
    return [_compare(0.9, candidate, runs, units, look) for candidate in (0.9, 0.92)]


def _compare(control: float, candidate: float, runs: int, units: int, look: int) -> ShadowRow:
    """Both ways to compare, at as many requests that the clients send."""
    rng = np.random.default_rng(17)
    # As parts of all requests: only the control is right, only the candidate.
    lost, won = 1 - candidate - BOTH_WRONG, 1 - control - BOTH_WRONG
    drawn = rng.multinomial(look, (lost, won, 1 - lost - won), size=(runs, units // look)).cumsum(axis=1)
    discordant = concentration_for(PLANNED * 2 * won, ALPHA)
    only = drawn.astype(np.float64)
    pairs = compare_pairs(only[..., 0], only[..., 1], ALPHA, discordant)
    errors = (
        rng.binomial(look // 2, 1 - rate, (runs, units // look)).cumsum(axis=1)
        for rate in (control, candidate)
    )
    sizes = np.arange(1.0, units // look + 1) * look / 2
    first, second = (Counts(sizes, wrong.astype(np.float64)) for wrong in errors)
    groups = compare_rates(first, second, ALPHA, concentration_for(PLANNED * (1 - control), ALPHA))
    truth = won / lost
    covered = np.asarray((pairs.low <= truth) & (truth <= pairs.high)).all(axis=1)
    by_pairs, by_groups = (np.asarray(way.is_decided, dtype=bool) for way in (pairs, groups))
    return ShadowRow(
        f"{100 * control:g} % and {100 * candidate:g} %",
        float(by_pairs.any(axis=1).mean()),
        _median(by_pairs, look),
        float(covered.mean()),
        float(by_groups.any(axis=1).mean()),
        _median(by_groups, look),
    )


def _median(is_decided: NDArray[np.bool_], look: int) -> float:
    """The requests by which half of the runs are decided; infinite if fewer ever are."""
    stops = np.where(is_decided.any(axis=1), look * (1.0 + is_decided.argmax(axis=1)), math.inf)
    return float(np.quantile(stops, 0.5, method="inverted_cdf"))
