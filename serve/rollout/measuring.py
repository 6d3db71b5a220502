"""The Prometheus series of experiments, by variant."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from serve.engine.metrics import SECOND_BOUNDS, Histogram, Series
from serve.experiments.shadow import MirrorCounts


class VariantMetrics:
    """One variant's own series; counted on the event loop's thread."""

    __slots__ = ("answered", "failed", "mirrored", "mirrored_failed")

    def __init__(self, answered: Series) -> None:
        self.answered = answered
        """The seconds of each request that it has answered."""
        self.failed = self.mirrored = self.mirrored_failed = 0

    def count(self) -> dict[str, int]:
        """How many requests had each outcome."""
        return {
            "answered": sum(self.answered.counts),
            "failed": self.failed,
            "mirrored": self.mirrored,
            "mirrored_failed": self.mirrored_failed,
        }


@dataclass(slots=True)
class FeedbackCounts:
    """What became of outcomes that this process got; counted on the event loop's thread."""

    new: int = 0
    duplicate: int = 0
    refused: int = 0
    unmatched: int = 0
    """Of the new and the duplicate ones: those of requests of which nothing was known."""
    unknown: int = 0
    """Of the same: those of metrics that no experiment had."""

    def add(self, new: int, duplicate: int, refused: int, unmatched: int, unknown: int) -> None:
        """Count so many more."""
        self.new += new
        self.duplicate += duplicate
        self.refused += refused
        self.unmatched += unmatched
        self.unknown += unknown


class ExperimentMetrics(Collector):
    """The series of this process's experiments; those of ones that have ended stay, as counters do."""

    def __init__(
        self,
        registry: CollectorRegistry,
        count_mirrored: Callable[[], MirrorCounts],
        count_lost: Callable[[], int],
    ) -> None:
        """Register on the registry. The callables are asked whenever the series are read."""
        self._seconds = Histogram(
            "adaptact_experiment_request_seconds",
            "Seconds that a variant took for a request that it has answered.",
            ["experiment", "variant"],
            SECOND_BOUNDS,
            registry,
        )
        self._count_mirrored, self._count_lost = count_mirrored, count_lost
        self._variants: dict[tuple[str, str], VariantMetrics] = {}
        self.feedback = FeedbackCounts()
        registry.register(self)

    def find(self, experiment: str, variant: str) -> VariantMetrics:
        """The variant's series, made on first use; they go on if it is compared again."""
        key = experiment, variant
        if key not in self._variants:
            self._variants[key] = VariantMetrics(self._seconds.labels(*key))
        return self._variants[key]

    def read_variants(self) -> Iterator[tuple[str, str, VariantMetrics]]:
        """The experiment and the variant of each series."""
        for (experiment, variant), metrics in list(self._variants.items()):
            yield experiment, variant, metrics

    def collect(self) -> Iterator[Metric]:
        """The counters, read now."""
        requests = CounterMetricFamily(
            "adaptact_experiment_requests",
            "Requests of variants, by what came of them.",
            labels=["experiment", "variant", "outcome"],
        )
        for key, variant in list(self._variants.items()):
            for outcome, count in variant.count().items():
                requests.add_metric([*key, outcome], count)
        yield requests
        mirrored = CounterMetricFamily(
            "adaptact_experiment_mirrored", "Mirrored requests, by what became of them.", labels=["outcome"]
        )
        counts = self._count_mirrored()
        for outcome in ("done", "failed", "dropped", "cancelled"):
            mirrored.add_metric([outcome], getattr(counts, outcome))
        yield mirrored
        outcomes = CounterMetricFamily(
            "adaptact_feedback_outcomes", "Outcomes in feedback, by what became of them.", labels=["result"]
        )
        for result in ("new", "duplicate", "refused"):
            outcomes.add_metric([result], getattr(self.feedback, result))
        yield outcomes
        unmatched = "Outcomes of requests of which nothing is stored, so that they count for no unit."
        yield CounterMetricFamily("adaptact_feedback_unmatched", unmatched, value=self.feedback.unmatched)
        unknown = "Outcomes of metrics that no experiment had, so that they count for none."
        yield CounterMetricFamily("adaptact_feedback_unknown_metric", unknown, value=self.feedback.unknown)
        lost = "Records of experiments that could not be stored."
        yield CounterMetricFamily("adaptact_experiment_records_lost", lost, value=self._count_lost())
