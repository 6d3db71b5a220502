"""By which rate of its events a binary metric is compared: chosen once, blind to whose the events are.

Rare events are compared by the events alone, others as shares of units (`comparisons`). To choose anew at
each look would be another chance to be wrong. The rate before the start, and that of all variants together,
say nothing about which variant has the events, so either way of comparing keeps its level.
"""

from collections.abc import Mapping

from serve.experiments.definition import Experiment
from serve.experiments.findings import Observations
from serve.experiments.statistics.means import BURN_IN
from serve.experiments.statistics.samples import Counts

LEAST_UNITS = 2 * BURN_IN
"""From which a rate is known well enough; before that no comparison as shares says anything."""


def choose_base_rates(
    experiment: Experiment, observations: Mapping[str, Observations], known: Mapping[str, float]
) -> dict[str, float]:
    """The rates that are known, and those of all variants together where these have enough units."""
    rates = dict(known)
    for metric in experiment.metrics:
        if metric.name not in rates:
            samples = [observed.outcomes.get(metric.name) for observed in observations.values()]
            rates |= _measure(metric.name, [sample for sample in samples if isinstance(sample, Counts)])
    return rates


def rate_of(sample: Counts) -> float | None:
    """The rate of a sample, never 0 or 1; None where there are too few units."""
    units, events = float(sample.units), float(sample.events)
    return (events + 0.5) / (units + 1) if units >= LEAST_UNITS else None


def _measure(name: str, samples: list[Counts]) -> dict[str, float]:
    whole = Counts()
    for sample in samples:
        whole = whole.merge(sample)
    rate = rate_of(whole)
    return {} if rate is None else {name: rate}
