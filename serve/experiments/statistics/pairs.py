"""Comparisons in shadow, where the control and a candidate answer the same request.

Pairs need a fraction of the requests that two groups of units do, since what both get right or wrong is no
noise: only the requests on which they differ count.
"""

import numpy as np

from serve.experiments.statistics.beta_mixture import log_e, log_e_above
from serve.experiments.statistics.looks import Look, Values
from serve.experiments.statistics.means import sequence_of_mean
from serve.experiments.statistics.rates import compare_rates, odds_interval
from serve.experiments.statistics.samples import Counts, Moments

_SMALLEST_MARGIN = 1e-6


def compare_pairs(only_control: Values, only_candidate: Values, alpha: float, concentration: float) -> Look:
    """How many times as often only the candidate is right as only the control is (McNemar, at any time).

    Of the requests that one of them gets right and the other wrong, each is won by either with probability
    1/2 if they are equally good. The test at a fixed horizon is that of McNemar 1947,
    https://doi.org/10.1007/BF02295996.
    """
    pairs = only_control + only_candidate
    won, lost = Counts(pairs, only_candidate), Counts(pairs, only_control)
    return compare_rates(lost, won, alpha, concentration)


def compare_accuracies(differences: Moments, alpha: float, planned_units: float) -> Look:
    """The difference of two means within pairs, from the moments of candidate less control of each pair."""
    return sequence_of_mean(differences, alpha, planned_units)


def measure_agreement(agreements: Counts, alpha: float) -> Look:
    """The share of requests that both answer alike, with its confidence sequence; `log_e` is against 1/2."""
    k, m = agreements.events, agreements.units - agreements.events
    low, high = odds_interval(k, m, 2.0, alpha)
    return Look(
        effect=agreements.rate,
        low=low / (1 + low),
        high=1 - 1 / (1 + high),
        log_e=log_e(k, m, 0.5, 2.0),
        control=0.5,
        candidate=agreements.rate,
        units=(agreements.units, agreements.units),
    )


def log_e_disagreement(disagreements: Counts, margin: float, concentration: float) -> Values:
    """The evidence that the two disagree on more than the share `margin` of the requests."""
    theta = float(np.clip(margin, _SMALLEST_MARGIN, 1 - _SMALLEST_MARGIN))
    k = disagreements.events
    return log_e_above(k, disagreements.units - k, theta, concentration)
