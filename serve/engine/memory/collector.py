"""Prometheus series of the memory that models take, and of how often they come and go."""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from serve.engine.memory.budget import MemoryBudget
from serve.engine.memory.options import MemoryOptions
from serve.engine.model import ServedModel

MEMORY, LIMIT = "adaptact_model_memory_bytes", "adaptact_model_memory_limit_bytes"
LOADS, EVICTIONS = "adaptact_model_loads_on_demand", "adaptact_model_evictions"
TOGETHER = (LIMIT, f"{LOADS}_total", f"{EVICTIONS}_total")
"""Series that are of all workers together in each of them."""


class MemoryCollector(Collector):
    """The series of one process."""

    def __init__(
        self, options: MemoryOptions, budget: MemoryBudget, list_served: Callable[[], Iterable[ServedModel]]
    ) -> None:
        """The models that can answer are listed at each scrape."""
        self._options, self._budget, self._list_served = options, budget, list_served

    def collect(self) -> Iterator[Metric]:
        """The series as they are now; of what is shared, this process's part."""
        taken = GaugeMetricFamily(
            MEMORY, "Bytes of memory that a loaded model takes.", labels=["model", "version"]
        )
        for model in self._list_served():
            own = model.memory.own + model.memory.shared / self._options.processes
            taken.add_metric([model.name, model.version], own)
        yield taken
        yield GaugeMetricFamily(LIMIT, "Bytes that all models may take.", self._options.limit_bytes)
        loads = CounterMetricFamily(LOADS, "How often a request has loaded the model.", labels=["model"])
        evictions = CounterMetricFamily(
            EVICTIONS, "How often the model was unloaded to make room.", labels=["model"]
        )
        for family, counts in ((loads, self._budget.loads), (evictions, self._budget.evictions)):
            for name, count in sorted(counts.items()):
                family.add_metric([name], count)
            yield family
