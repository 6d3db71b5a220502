"""Series that are made when they are read: how much waits, and Triton's names for what is counted anyway.

Source: Triton Inference Server, Metrics,
https://github.com/triton-inference-server/server/blob/main/docs/user_guide/metrics.md
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.metrics_core import GaugeMetricFamily, UntypedMetricFamily
from prometheus_client.registry import Collector

from serve.engine.metrics import Metrics
from serve.engine.states import Duration, ModelStatistics

Statistics = Callable[[], list[ModelStatistics]]
LABELS = ("model", "version")

# By the status code: HTTP's, or gRPC's number, which is below all those.
ANSWERED = ("200", "0")
CANCELED = ("499", "1")
# Triton counts failures by what they came of; the status code says as much.
REASONS = {
    **dict.fromkeys(("429", "503", "504", "4", "8", "14"), "REJECTED"),
    **dict.fromkeys(CANCELED, "CANCELED"),
    **dict.fromkeys(("500", "13"), "BACKEND"),
}
OTHER = "OTHER"


def _microseconds(of: Callable[[ModelStatistics], Duration]) -> Callable[[ModelStatistics], float]:
    return lambda each: of(each).ns // 1000


COUNTS: Mapping[str, tuple[str, Callable[[ModelStatistics], float]]] = {
    "nv_inference_count": ("Rows that were run.", lambda each: each.inference_count),
    "nv_inference_exec_count": ("Runs.", lambda each: each.execution_count),
    "nv_inference_pending_request_count": ("Requests that wait.", lambda each: each.waiting),
    "nv_inference_request_duration_us": (
        "Microseconds of all requests answered.",
        _microseconds(lambda each: each.success),
    ),
    "nv_inference_queue_duration_us": ("Microseconds waited.", _microseconds(lambda each: each.queue)),
    "nv_inference_compute_input_duration_us": (
        "Microseconds spent joining requests.",
        _microseconds(lambda each: each.compute_input),
    ),
    "nv_inference_compute_infer_duration_us": (
        "Microseconds of runs.",
        _microseconds(lambda each: each.compute_infer),
    ),
    "nv_inference_compute_output_duration_us": (
        "Microseconds spent parting answers.",
        _microseconds(lambda each: each.compute_output),
    ),
}


def expose(metrics: Metrics, statistics: Statistics, triton_names: bool) -> None:
    """From now on the metrics' registry has these series too, those of Triton if they are asked for."""
    registry: CollectorRegistry = metrics.registry
    registry.register(QueueDepth(statistics))
    if triton_names:
        registry.register(TritonNames(statistics, metrics.requests))


class QueueDepth(Collector):
    """How many requests of each version wait for their turn."""

    def __init__(self, statistics: Statistics) -> None:
        """Ask this whenever the series is read."""
        self._statistics = statistics

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """The series."""
        family = GaugeMetricFamily(
            "adaptact_queue_depth", "Requests that wait for their turn.", labels=LABELS
        )
        for each in self._statistics():
            family.add_metric((each.name, each.version), each.waiting)
        yield family


class TritonNames(Collector):
    """The series of Triton that dashboards are made of, counted as Triton counts them.

    A request is one whatever its rows, and either a success or a failure. Those for unknown models are
    neither, since Triton has no series for them.
    """

    def __init__(self, statistics: Statistics, requests: Counter) -> None:
        """`requests` are the requests answered, by model, version and status code."""
        self._statistics = statistics
        self._requests = requests

    def collect(self) -> Iterator[UntypedMetricFamily]:
        """The series, without the ending that Prometheus gives a counter and Triton does not."""
        found = self._statistics()
        for name, (text, value) in COUNTS.items():
            family = UntypedMetricFamily(name, text, labels=LABELS)
            for each in found:
                family.add_metric((each.name, each.version), value(each))
            yield family
        yield from self._requests_by_result({(each.name, each.version) for each in found})

    def _requests_by_result(self, served: set[tuple[str, str]]) -> Iterator[UntypedMetricFamily]:
        succeeded: dict[tuple[str, str], float] = dict.fromkeys(served, 0.0)
        failed: dict[tuple[str, str, str], float] = {
            (*each, reason): 0.0 for each in served for reason in (*REASONS.values(), OTHER)
        }
        for model, version, code, count in _by_code(self._requests):
            if code in ANSWERED:
                succeeded[model, version] = succeeded.get((model, version), 0.0) + count
            else:
                key = model, version, REASONS.get(code, OTHER)
                failed[key] = failed.get(key, 0.0) + count
        success = UntypedMetricFamily("nv_inference_request_success", "Requests answered.", labels=LABELS)
        for labels, count in sorted(succeeded.items()):
            success.add_metric(labels, count)
        failure = UntypedMetricFamily(
            "nv_inference_request_failure", "Requests that failed.", labels=(*LABELS, "reason")
        )
        for why, count in sorted(failed.items()):
            failure.add_metric(why, count)
        yield from (success, failure)


def _by_code(requests: Counter) -> Iterator[tuple[str, str, str, float]]:
    for family in requests.collect():
        for sample in family.samples:
            if sample.name.endswith("_total") and sample.labels["model"]:
                yield (sample.labels["model"], sample.labels["version"], sample.labels["code"], sample.value)
