"""The server's own Prometheus series, on the registry that is passed in."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from time import perf_counter, time
from typing import Literal, TypeAlias, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from serve.engine.request_counts import RequestCounts
from serve.engine.statistics import BatchStatistics, Duration, InferStatistics, VersionStatistics


class Series:
    """The observations of one set of labels; only the event loop's thread adds to them.

    Own code: the client library's histogram takes a lock and walks the bounds, which was measured at 0.75
    microseconds against 0.15, five times in every request.
    """

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        """Start with empty buckets: one up to and including each bound, and one beyond."""
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count the value in its bucket."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value


class HistogramFamily(Metric):
    """The series of a histogram; the client library's samples, of each bucket, are made only for who asks.

    A series is its labels, its counts in each bucket, and its total.
    """

    def __init__(self, name: str, meaning: str, ends: list[str]) -> None:
        """`ends` are the buckets' labels; there are no series yet."""
        super().__init__(name, meaning, "histogram")
        self.ends = ends
        self.series: list[tuple[dict[str, str], list[int], float]] = []

    @property
    def samples(self) -> list[Sample]:
        """The family as the client library writes it: cumulative counts, and their sum."""
        samples = []
        for labels, counts, total in self.series:
            buckets = list(zip(self.ends, accumulate(counts), strict=True))
            samples += [Sample(f"{self.name}_bucket", labels | {"le": end}, count) for end, count in buckets]
            samples.append(Sample(f"{self.name}_count", labels, buckets[-1][1]))
            samples.append(Sample(f"{self.name}_sum", labels, total))
        return samples

    @samples.setter
    def samples(self, samples: list[Sample]) -> None:
        pass


class Histogram(Collector):
    """Series by label, collected as one family."""

    def __init__(
        self,
        name: str,
        meaning: str,
        labels: Sequence[str],
        bounds: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        """Register on the registry; bounds must be in rising order."""
        self._name, self._meaning, self._labels, self._bounds = name, meaning, labels, bounds
        self._series: dict[tuple[str, ...], Series] = {}
        registry.register(self)

    def labels(self, *values: str) -> Series:
        """The series of these label values, created on first use."""
        return self._series.setdefault(values, Series(self._bounds))

    def collect(self) -> Iterator[HistogramFamily]:
        """The family of the series that have observed anything."""
        family = HistogramFamily(self._name, self._meaning, [*map(str, map(float, self._bounds)), "+Inf"])
        # A copy, since a thread that loads a model may add its series meanwhile.
        for values, series in list(self._series.items()):
            if any(series.counts):
                labels = dict(zip(self._labels, values, strict=True))
                family.series.append((labels, series.counts.copy(), series.total))
        yield family


# From a small model on one row to a large one on a full batch.
SECOND_BOUNDS = (
    5e-5,
    1e-4,
    2.5e-4,
    5e-4,
    1e-3,
    2.5e-3,
    5e-3,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    10.0,
)
# Of whole requests, a quarter apart from 50 microseconds to a minute: quantiles can be told from them.
LATENCY_BOUNDS = tuple(float(f"{5e-5 * 1.25**step:.3g}") for step in range(64))
ROW_BOUNDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024)
# Clients choose how many rows a request has; runs of further numbers of rows are counted together only.
MAX_BATCH_SIZES = 256
Reason: TypeAlias = Literal[
    "queue_full", "deadline", "stopping", "unavailable", "client_limit", "key", "role"
]
"""Why a request was turned away."""


class Metrics:
    """The server's own series; no label value is a text that a client chose."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register every series on the registry."""
        self.registry = registry
        self.requests = RequestCounts(registry)
        self.duration = Histogram(
            "adaptact_inference_duration_seconds",
            "Seconds spent reading the input, waiting to run, running, and writing the output.",
            ["model", "version", "stage"],
            SECOND_BOUNDS,
            registry,
        )
        self.batch_size = Histogram(
            "adaptact_batch_size",
            "Rows in each run: the size of the first dimension of the first input.",
            ["model", "version"],
            ROW_BOUNDS,
            registry,
        )
        self.rejected = Counter(
            "adaptact_requests_rejected", "Requests turned away, by what for.", ["reason"], registry=registry
        )
        for reason in get_args(Reason):
            self.rejected.labels(reason)  # from zero, so that the first one is an increase
        self.ready = Gauge(
            "adaptact_model_ready",
            "Whether the model is loaded and can answer: 1 or 0.",
            ["model", "version"],
            registry=registry,
        )
        # One for each worker; the series of all workers are summed.
        Gauge("adaptact_workers", "Processes that answer.", registry=registry).set(1)
        self.unknown = ModelMetrics(self, "", "")
        self._versions: dict[tuple[str, str], ModelMetrics] = {}

    def for_version(self, name: str, version: str) -> "ModelMetrics":
        """The version's own series, which continue if the version is loaded again."""
        if (name, version) not in self._versions:
            self._versions[name, version] = ModelMetrics(self, name, version)
        return self._versions[name, version]


class ModelMetrics:
    """One version's own series, looked up once, since a look-up costs as much as counting.

    All counting is done on one thread, the event loop's.
    """

    def __init__(self, metrics: Metrics, model: str, version: str) -> None:
        """Find or make the series of this version."""
        self._labels = (model, version)
        self._by_code = metrics.requests.find(model, version)
        if not model:
            return
        self.input, self.queue, self.compute, self.output = (
            metrics.duration.labels(model, version, stage)
            for stage in ("input", "queue", "compute", "output")
        )
        self.batch_size = metrics.batch_size.labels(model, version)
        self.latency = Series(LATENCY_BOUNDS)
        """Of the requests answered: from when the whole request is there until its answer is written."""
        self._joining = self._splitting = self._failing = 0.0
        self._failed = 0
        self._last: float | None = None
        self._batches: dict[int, list[float]] = {}

    def count_request(self, code: int) -> None:
        """Count a request answered with this status code."""
        self._by_code[code] = self._by_code.get(code, 0) + 1

    def count_answer(self, reading: float, writing: float, whole: float) -> None:
        """Count the seconds of reading a request, of writing its answer, and of both and all between."""
        self.input.observe(reading)
        self.output.observe(writing)
        self.latency.observe(whole)

    def count_alone(self, rows: int, seconds: float, ended: float) -> None:
        """Count a request that ran immediately and alone; the arguments are those of `count_run`."""
        self.queue.observe(0.0)
        self.compute.observe(seconds)
        self.count_run(rows, seconds, ended)

    def count_run(self, rows: int, seconds: float, ended: float) -> None:
        """Count a run: its rows, its duration, and the `perf_counter` time of its end."""
        self.batch_size.observe(rows)
        self._last = ended
        batch = self._batches.get(rows)
        if batch is not None:
            batch[0] += 1
            batch[1] += seconds
        elif len(self._batches) < MAX_BATCH_SIZES:
            self._batches[rows] = [1, seconds, 0.0, 0.0]

    def count_joining(self, rows: int, joining: float, splitting: float, requests: int) -> None:
        """Count the seconds spent on joining requests into rows and on splitting the outputs."""
        self._joining += joining * requests
        self._splitting += splitting * requests
        if rows in self._batches:
            self._batches[rows][2] += joining
            self._batches[rows][3] += splitting

    def count_failure(self, seconds: float) -> None:
        """Count a request that the engine answered with an error, and its seconds."""
        self._failed += 1
        self._failing += seconds

    def count_codes(self) -> dict[str, int]:
        """The number of requests answered with each status code."""
        return {str(code): count for code, count in self._by_code.items()}

    @property
    def is_used(self) -> bool:
        """Whether a request to it was answered."""
        return bool(self._by_code) or any(self.batch_size.counts)

    @property
    def run_seconds(self) -> float:
        """The mean run time of a request; 0 if none has run."""
        return self.compute.total / (sum(self.compute.counts) or 1)

    def statistics(self) -> VersionStatistics:
        """The statistics under the protocol's names."""
        queue, infer = _make_duration(self.queue), _make_duration(self.compute)
        joining, splitting = (Duration(infer.count, _ns(total)) for total in (self._joining, self._splitting))
        name, version = self._labels
        return VersionStatistics(
            name=name,
            version=version,
            last_inference=self.last_milliseconds,
            inference_count=int(self.batch_size.total),
            execution_count=sum(self.batch_size.counts),
            inference_stats=InferStatistics(
                success=Duration(infer.count, queue.ns + joining.ns + infer.ns + splitting.ns),
                fail=Duration(self._failed, _ns(self._failing)),
                queue=queue,
                compute_input=joining,
                compute_infer=infer,
                compute_output=splitting,
                cache_hit=Duration(0, 0),
                cache_miss=Duration(0, 0),
            ),
            batch_stats=[_make_batch(rows, batch) for rows, batch in sorted(self._batches.items())],
        )

    @property
    def last_milliseconds(self) -> int:
        """When the last run ended, since 1970; 0 if there was none."""
        return 0 if self._last is None else int(1000 * (time() - perf_counter() + self._last))


def _make_duration(series: Series) -> Duration:
    return Duration(sum(series.counts), _ns(series.total))


def _make_batch(rows: int, batch: Sequence[float]) -> BatchStatistics:
    runs = int(batch[0])
    infer, joining, splitting = (Duration(runs, _ns(seconds)) for seconds in batch[1:])
    return BatchStatistics(rows, joining, infer, splitting)


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)
