"""Every worker's series as one: what Prometheus would have summed, had it found each of them."""

from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from serve.shared.worker_group import WorkerGroup

# What is true of the server as soon as, or as long as, it is true of every worker; all else is counted.
LEAST = ("adaptact_model_ready", "process_start_time_seconds")


class _FixedCollector(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


METRICS = "metrics"


def register_metrics(registry: CollectorRegistry, colleagues: WorkerGroup) -> None:
    """Let colleagues ask for the registry's series."""

    async def own() -> str:
        return generate_latest(registry).decode()

    colleagues.register(METRICS, own)


async def collect_metrics(colleagues: WorkerGroup) -> bytes:
    """Every worker's series together, in Prometheus' text format."""
    texts = await colleagues.broadcast(METRICS)
    return texts[0].encode() if len(texts) == 1 else sum_metrics(texts)


def sum_metrics(texts: Sequence[str]) -> bytes:
    """The texts, each one worker's in Prometheus' format, as one: equal series are added up."""
    families: dict[str, Metric] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], list[float]]] = {}
    for text in texts:
        for family in text_string_to_metric_families(text):
            families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            series = values.setdefault(family.name, {})
            for each in family.samples:
                key = each.name, tuple(sorted(each.labels.items()))
                series.setdefault(key, []).append(each.value)
    for name, family in families.items():
        for (sample, labels), found in values[name].items():
            family.add_sample(sample, dict(labels), _choose_aggregate(sample)(found))
    registry = CollectorRegistry()
    registry.register(_FixedCollector(families.values()))
    return generate_latest(registry)


def _choose_aggregate(sample: str) -> Callable[[Iterable[float]], float]:
    return min if sample in LEAST or sample.endswith("_created") else sum
