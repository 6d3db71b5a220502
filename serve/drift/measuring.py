"""The Prometheus series of drift: the last reports, and what became of sampled runs."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from serve.drift.judging import DriftReport
from serve.drift.watcher import SampleCounts

VERSION = ["model", "version"]
ReadCounts = Callable[[], Mapping[tuple[str, str], SampleCounts]]


class DriftMetrics(Collector):
    """The gauges are of all workers together, and so the same in each of them."""

    def __init__(self, registry: CollectorRegistry, read_counts: ReadCounts) -> None:
        """Register on the registry; nothing is reported yet."""
        self._read_counts = read_counts
        self.reports: Sequence[DriftReport] = ()
        """The last ones, of versions with a baseline; replaced as a whole."""
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """The series, read now."""
        yield from self._collect_gauges()
        rows = CounterMetricFamily(
            "adaptact_drift_rows", "Rows of requests that were counted.", labels=VERSION
        )
        dropped = CounterMetricFamily(
            "adaptact_drift_dropped", "Chosen requests that found no room to be counted.", labels=VERSION
        )
        for key, counts in self._read_counts().items():
            rows.add_metric(key, counts.rows)
            dropped.add_metric(key, counts.dropped)
        yield rows
        yield dropped

    def _collect_gauges(self) -> Iterator[Metric]:
        alarm = GaugeMetricFamily(
            "adaptact_drift_alarm",
            "Whether the version's live values have drifted: 1 or 0; absent while too few are known.",
            labels=VERSION,
        )
        psi, ks = (
            GaugeMetricFamily(f"adaptact_drift_{name}", meaning, labels=[*VERSION, "tensor"])
            for name, meaning in (
                (
                    "psi",
                    "Population stability index beyond chance, the largest of the tensor and its columns.",
                ),
                ("ks", "Kolmogorov-Smirnov distance, the largest of the tensor and its columns."),
            )
        )
        outside = GaugeMetricFamily(
            "adaptact_activation_outside_share",
            "Share of what reaches the activation that is outside the range of real data at export.",
            labels=[*VERSION, "layer"],
        )
        for report in self.reports:
            key = report.model, report.version
            if report.verdict != "waiting":
                alarm.add_metric(key, report.verdict == "drifted")
            _add_largest(psi, key, [(each.tensor, each.psi) for each in report.series])
            _add_largest(ks, key, [(each.tensor, each.ks) for each in report.series])
            layers = [(each.layer, each.outside) for each in report.series if each.role == "activation"]
            _add_largest(outside, key, layers)
        yield from (alarm, psi, ks, outside)


def _add_largest(
    family: GaugeMetricFamily, key: tuple[str, str], values: Sequence[tuple[str, float | None]]
) -> None:
    largest: dict[str, float] = {}
    for name, value in values:
        if value is not None:
            largest[name] = max(value, largest.get(name, 0.0))
    for name, value in largest.items():
        family.add_metric([*key, name], value)
