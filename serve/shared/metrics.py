"""The metrics of all workers as one exposition."""

from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from serve.shared.worker_group import WorkerGroup

# Series whose lowest value among the workers is the server's; all other series are added up.
METRICS = "metrics"  # what workers are asked
LOWEST = ("adaptact_model_ready", "process_start_time_seconds")


class _FixedCollector(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def register_metrics(registry: CollectorRegistry, workers: WorkerGroup) -> None:
    """The workers can ask for the registry's series."""

    async def expose() -> str:
        return generate_latest(registry).decode()

    workers.register(METRICS, expose)


async def collect_metrics(workers: WorkerGroup) -> bytes:
    """The series of all workers, added up, in Prometheus' text format."""
    texts = await workers.broadcast(METRICS)
    return texts[0].encode() if len(texts) == 1 else sum_metrics(texts)


def sum_metrics(texts: Sequence[str]) -> bytes:
    """The workers' expositions as one: series of the same name and labels are added up."""
    families: dict[str, Metric] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], list[float]]] = {}
    for text in texts:
        for family in text_string_to_metric_families(text):
            families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            series = values.setdefault(family.name, {})
            for sample in family.samples:
                key = sample.name, tuple(sorted(sample.labels.items()))
                series.setdefault(key, []).append(sample.value)
    for name, family in families.items():
        for (sample_name, labels), samples in values[name].items():
            family.add_sample(sample_name, dict(labels), _choose_aggregate(sample_name)(samples))
    registry = CollectorRegistry()
    registry.register(_FixedCollector(families.values()))
    return generate_latest(registry)


def _choose_aggregate(sample: str) -> Callable[[Iterable[float]], float]:
    return min if sample in LOWEST or sample.endswith("_created") else sum
