"""Prometheus series of the provider that each model runs on, and of the times by which it was chosen."""

from collections.abc import Callable, Iterable

from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from serve.engine.model import ServedModel

LABELS = ("model", "version", "provider", "threads")
RUNS_ON = "adaptact_model_provider"
TIMED = "adaptact_provider_run_seconds"


class ProviderCollector(Collector):
    """The series of all models that are served when it is read."""

    def __init__(self, served: Callable[[], list[ServedModel]]) -> None:
        """`served` are the models."""
        self._served = served

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """The series."""
        runs_on = GaugeMetricFamily(RUNS_ON, "1 for the provider that the model runs on.", labels=LABELS)
        timed = GaugeMetricFamily(
            TIMED, "Seconds of one run, as timed when the provider was chosen.", labels=(*LABELS, "rows")
        )
        for model in self._served():
            about = model.name, model.version
            runs_on.add_metric((*about, model.provider, str(model.threads)), 1)
            if model.choice is None:
                continue
            for candidate in model.choice.candidates:
                labels = (*about, candidate.provider, str(candidate.threads))
                for rows, microseconds in zip(model.choice.batches, candidate.microseconds, strict=False):
                    timed.add_metric((*labels, str(rows)), microseconds / 1e6)
        yield runs_on
        yield timed
