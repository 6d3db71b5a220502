"""Which metrics experiments have: outcomes of any other one are stored, and count for no experiment yet."""

from collections.abc import Mapping
from dataclasses import dataclass

from adaptact.suggestions import suggest
from serve.experiments.definition import Experiment
from serve.experiments.evidence import LABEL
from serve.experiments.store.registry import Registry

MAX_NAMES = 20
"""Unknown metrics that are named; the outcomes of the others are only counted."""


@dataclass(frozen=True, slots=True)
class UnknownMetric:
    """A metric that no experiment has, how many outcomes are of it, and which one may have been meant."""

    metric: str
    count: int
    suggestion: str | None


@dataclass(frozen=True, slots=True)
class UnknownMetrics:
    """How many outcomes are of metrics that no experiment has, and the most frequent of these metrics."""

    count: int = 0
    most: tuple[UnknownMetric, ...] = ()


class MetricNames:
    """The metrics of a registry's experiments, whatever their stage; called from any thread."""

    def __init__(self, registry: Registry) -> None:
        """Nothing is read yet."""
        self._registry = registry
        self._known: tuple[Mapping[str, int], frozenset[str]] | None = None

    def find_unknown(self, counts: Mapping[str, int]) -> UnknownMetrics:
        """Which of the metrics that were reported so often no experiment has; raises `StoreError`."""
        if not counts:
            return UnknownMetrics()
        known = self._read()
        unknown = sorted(counts.keys() - known, key=lambda metric: (-counts[metric], metric))
        named = (
            UnknownMetric(metric, counts[metric], suggest(metric, known)) for metric in unknown[:MAX_NAMES]
        )
        return UnknownMetrics(sum(counts[metric] for metric in unknown), tuple(named))

    def _read(self) -> frozenset[str]:
        revisions = self._registry.read_revisions()
        if self._known is None or self._known[0] != revisions:
            names = frozenset().union(*(_list(each.experiment) for each in self._registry.read_all()))
            self._known = revisions, names
        return self._known[1]


def _list(experiment: Experiment) -> set[str]:
    """What feedback may name for the experiment."""
    named = {name for metric in experiment.metrics for name in (metric.name, metric.denominator) if name}
    return named | {LABEL}
