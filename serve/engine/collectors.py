"""Prometheus collectors that compute their series on each scrape: queue depths and Triton's names.

Source: Triton Inference Server, Metrics,
https://github.com/triton-inference-server/server/blob/main/docs/user_guide/metrics.md
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily, UntypedMetricFamily
from prometheus_client.registry import Collector

from serve.engine.metrics import Metrics
from serve.engine.request_counts import RequestCounts
from serve.engine.statistics import Duration, InferStatistics, VersionStatistics

Statistics = Callable[[], list[VersionStatistics]]
QueueDepths = Callable[[], Mapping[tuple[str, str], int]]
"""By name and version, how many requests wait."""
LABELS = ("model", "version")
# By the status code: HTTP's, or gRPC's number, which is below all those.
ANSWERED = ("200", "0")
CANCELED = ("499", "1")
# Triton counts failures by their cause, which the status code tells.
REASONS = {
    **dict.fromkeys(("429", "503", "504", "4", "8", "14"), "REJECTED"),
    **dict.fromkeys(CANCELED, "CANCELED"),
    **dict.fromkeys(("500", "13"), "BACKEND"),
}
OTHER = "OTHER"


COUNTS: Mapping[str, tuple[str, Callable[[VersionStatistics], int]]] = {
    "nv_inference_count": ("Rows that were run.", lambda version: version.inference_count),
    "nv_inference_exec_count": ("Runs.", lambda version: version.execution_count),
}
PENDING = "nv_inference_pending_request_count"
DURATIONS: Mapping[str, tuple[str, Callable[[InferStatistics], Duration]]] = {
    "nv_inference_request_duration_us": (
        "Microseconds of all requests answered.",
        lambda stats: stats.success,
    ),
    "nv_inference_queue_duration_us": ("Microseconds waited.", lambda stats: stats.queue),
    "nv_inference_compute_input_duration_us": (
        "Microseconds spent joining requests.",
        lambda stats: stats.compute_input,
    ),
    "nv_inference_compute_infer_duration_us": ("Microseconds of runs.", lambda stats: stats.compute_infer),
    "nv_inference_compute_output_duration_us": (
        "Microseconds spent parting answers.",
        lambda stats: stats.compute_output,
    ),
}


def register_collectors(
    metrics: Metrics, statistics: Statistics, queue_depths: QueueDepths, *, triton_names: bool
) -> None:
    """Register these series with the metrics' registry, Triton's only if they are enabled."""
    registry: CollectorRegistry = metrics.registry
    registry.register(QueueDepthCollector(metrics, queue_depths))
    if triton_names:
        registry.register(TritonCollector(statistics, queue_depths, metrics.requests))


class QueueDepthCollector(Collector):
    """The number of waiting requests of each version that has had any request."""

    def __init__(self, metrics: Metrics, queue_depths: QueueDepths) -> None:
        """`queue_depths` is called whenever the series is read."""
        self._metrics = metrics
        self._queue_depths = queue_depths

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """The series."""
        family = GaugeMetricFamily(
            "adaptact_queue_depth", "Requests that wait for their turn.", labels=LABELS
        )
        for version, waiting in self._queue_depths().items():
            if waiting or self._metrics.for_version(*version).is_used:
                family.add_metric(version, waiting)
        yield family


class TritonCollector(Collector):
    """The Triton series that dashboards use, counted as Triton counts them.

    Each request counts once, however many rows it has, as a success or a failure. Requests for unknown models
    are not counted, since Triton has no series for them.
    """

    def __init__(self, statistics: Statistics, queue_depths: QueueDepths, requests: RequestCounts) -> None:
        """`requests` are the requests answered, by model, version and status code."""
        self._statistics = statistics
        self._queue_depths = queue_depths
        self._requests = requests

    def collect(self) -> Iterator[UntypedMetricFamily]:
        """The series, without the suffix `_total` that Prometheus adds to counters and Triton does not."""
        versions = {(version.name, version.version): version for version in self._statistics()}
        for name, (text, count) in COUNTS.items():
            yield _make_family(name, text, [(key, count(version)) for key, version in versions.items()])
        yield _make_family(PENDING, "Requests that wait.", self._queue_depths().items())
        for name, (text, choose) in DURATIONS.items():
            microseconds = [
                (key, choose(version.inference_stats).ns // 1000) for key, version in versions.items()
            ]
            yield _make_family(name, text, microseconds)
        yield from self._collect_results(set(versions))

    def _collect_results(self, served: set[tuple[str, str]]) -> Iterator[UntypedMetricFamily]:
        succeeded: dict[tuple[str, str], float] = dict.fromkeys(served, 0.0)
        failed: dict[tuple[str, str, str], float] = {
            (*version, reason): 0.0 for version in served for reason in (*REASONS.values(), OTHER)
        }
        for model, version, code, count in _read_requests(self._requests):
            if code in ANSWERED:
                succeeded[model, version] = succeeded.get((model, version), 0.0) + count
            else:
                key = model, version, REASONS.get(code, OTHER)
                failed[key] = failed.get(key, 0.0) + count
        yield _make_family("nv_inference_request_success", "Requests answered.", sorted(succeeded.items()))
        yield _make_family(
            "nv_inference_request_failure",
            "Requests that failed.",
            sorted(failed.items()),
            labels=(*LABELS, "reason"),
        )


def _make_family(
    name: str, text: str, values: Iterable[tuple[Sequence[str], float]], labels: Sequence[str] = LABELS
) -> UntypedMetricFamily:
    family = UntypedMetricFamily(name, text, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family


def _read_requests(requests: RequestCounts) -> Iterator[tuple[str, str, str, float]]:
    for family in requests.collect():
        for sample in family.samples:
            if sample.name.endswith("_total") and sample.labels["model"]:
                yield (sample.labels["model"], sample.labels["version"], sample.labels["code"], sample.value)
