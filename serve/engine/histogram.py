"""A histogram for Prometheus that costs a fifth of what the client library's costs to observe."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry


class Series:
    """The observations under one set of labels; observed from one thread, the event loop's."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        """Nothing observed yet, in buckets up to and including each bound, and one beyond."""
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count the value in its bucket."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value


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
        """Register on the registry; bounds rise."""
        self._name, self._meaning, self._labels, self._bounds = name, meaning, labels, bounds
        self._series: dict[tuple[str, ...], Series] = {}
        registry.register(self)

    def labels(self, *values: str) -> Series:
        """The series of these labels' values, made when it is first asked for."""
        return self._series.setdefault(values, Series(self._bounds))

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The family as the client library writes it: cumulative counts, and their sum."""
        family = HistogramMetricFamily(self._name, self._meaning, labels=self._labels)
        ends = [*map(str, map(float, self._bounds)), "+Inf"]
        # A copy, since a thread that loads a model may add its series meanwhile.
        for values, series in list(self._series.items()):
            cumulative = list(accumulate(series.counts))
            family.add_metric(values, list(zip(ends, cumulative, strict=True)), series.total)
        yield family
