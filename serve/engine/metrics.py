"""What the server counts, on a registry that is passed in."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from serve.engine.histogram import Histogram

# From a small model on one row to a large one on a full batch.
SECONDS = (5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024)


class Metrics:
    """The server's own series; a label's value is never a text that a client chose."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register every series on the registry."""
        self.registry = registry
        self.requests = Counter(
            "adaptact_inference_requests",
            "Inference requests answered, by status code; model and version are empty for unknown ones.",
            ["model", "version", "code"],
            registry=registry,
        )
        self.duration = Histogram(
            "adaptact_inference_duration_seconds",
            "Seconds spent reading the input, waiting to run, running, and writing the output.",
            ["model", "version", "stage"],
            SECONDS,
            registry,
        )
        self.batch_size = Histogram(
            "adaptact_batch_size",
            "Rows in each run: the size of the first dimension of the first input.",
            ["model", "version"],
            ROWS,
            registry,
        )
        self.ready = Gauge(
            "adaptact_model_ready",
            "Whether the model is loaded and can answer: 1 or 0.",
            ["model", "version"],
            registry=registry,
        )
        self.unknown = ModelMetrics(self, "", "")


class ModelMetrics:
    """One version's own series, looked up once: a look-up costs as much as the counting."""

    def __init__(self, metrics: Metrics, model: str, version: str) -> None:
        """Find or make the series of this version."""
        self._labels = (model, version)
        self._requests = metrics.requests
        self._by_code: dict[int, Counter] = {}
        if not model:
            return
        self.input, self.queue, self.compute, self.output = (
            metrics.duration.labels(model, version, stage)
            for stage in ("input", "queue", "compute", "output")
        )
        self.batch_size = metrics.batch_size.labels(model, version)

    def count_request(self, code: int) -> None:
        """One more request answered with this status code."""
        counter = self._by_code.get(code)
        if counter is None:
            counter = self._by_code[code] = self._requests.labels(*self._labels, code)
        counter.inc()
