"""A registry's series as numbers, added up over processes, and written in Prometheus' text format.

The client library makes an object of each bucket and formats it for itself: with 200 models that took 0.2
seconds, and adding up the texts of two workers 2.5.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, islice

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.utils import floatToGoString

from serve.engine.choosing.collector import RUNS_ON, TIMED
from serve.engine.memory.collector import TOGETHER
from serve.engine.metrics import HistogramFamily
from serve.sources.metrics import SERIES as SOURCE_SERIES

# Series whose lowest value among the workers is the server's; those of no kind are added up.
LOWEST = ("adaptact_model_ready", "process_start_time_seconds")
# Series that are of all workers together in each of them.
HIGHEST = (
    *("adaptact_drift_alarm", "adaptact_drift_psi", "adaptact_drift_ks"),
    *("adaptact_activation_outside_share", RUNS_ON, TIMED, *SOURCE_SERIES, *TOGETHER),
)
# When a series was made, which nothing reads in this format.
CREATED = "_created"
# The library's types that this format writes otherwise, and what it appends to the names of some.
TYPES = {"info": "gauge", "stateset": "gauge", "gaugehistogram": "histogram", "unknown": "untyped"}
SUFFIXES = {"counter": "_total", "info": "_info"}
# Writing so many series takes a fraction of a millisecond.
PIECE_SERIES = 64


@dataclass(slots=True)
class Family:
    """The series of one name."""

    name: str
    meaning: str
    kind: str
    """As the text format names it."""
    ends: list[str]
    """Of a histogram's buckets; empty for other kinds."""
    series: dict[str, list[float]]
    """A histogram's counts in each bucket and its total, by labels; a value by its name and labels."""

    def add(self, other: "Family") -> None:
        """Add the series of the same family in another process."""
        for key, numbers in other.series.items():
            own = self.series.get(key)
            if own is None:
                self.series[key] = numbers
            elif self.name in LOWEST:
                self.series[key] = list(map(min, own, numbers))
            elif self.name in HIGHEST:
                self.series[key] = list(map(max, own, numbers))
            else:
                self.series[key] = [first + second for first, second in zip(own, numbers, strict=True)]


def read_families(registry: CollectorRegistry) -> Iterator[Family]:
    """The registry's families, each read when it is asked for."""
    for metric in registry.collect():
        name = metric.name + SUFFIXES.get(metric.type, "")
        family = Family(name, metric.documentation, TYPES.get(metric.type, metric.type), [], {})
        if isinstance(metric, HistogramFamily):
            family.ends = metric.ends
            for labels, counts, total in metric.series:
                family.series[_write_labels(labels)] = [*counts, total]
        else:
            family.series = _read_values(metric)
        yield family


def write_family(family: Family) -> Iterator[str]:
    """The family's lines, in pieces."""
    meaning = family.meaning.replace("\\", r"\\").replace("\n", r"\n")
    yield f"# HELP {family.name} {meaning}\n# TYPE {family.name} {family.kind}\n"
    write = _write_histograms if family.ends else _write_values
    series = iter(family.series.items())
    while piece := list(islice(series, PIECE_SERIES)):
        yield "".join(write(family, piece))


def _read_values(metric: Metric) -> dict[str, list[float]]:
    created = metric.name + CREATED
    series: dict[str, list[float]] = {}
    for sample in metric.samples:
        if sample.name != created:
            labels = _write_labels(sample.labels)
            series[f"{sample.name}{{{labels}}}" if labels else sample.name] = [sample.value]
    return series


def _write_values(family: Family, series: Iterable[tuple[str, list[float]]]) -> Iterator[str]:
    for key, (value,) in series:
        yield f"{key} {_write_number(value)}\n"


def _write_histograms(family: Family, series: Iterable[tuple[str, list[float]]]) -> Iterator[str]:
    starts = [f'{family.name}_bucket{{le="{end}",' for end in family.ends]
    for labels, (*counts, total) in series:
        cumulative = list(accumulate(map(int, counts)))
        for start, count in zip(starts, cumulative, strict=True):
            yield f"{start}{labels}}} {count}\n"
        yield f"{family.name}_count{{{labels}}} {cumulative[-1]}\n"
        yield f"{family.name}_sum{{{labels}}} {_write_number(total)}\n"


def _write_number(value: float) -> str:
    text: str = floatToGoString(value)  # type: ignore[no-untyped-call]  # the library's
    return text


def _write_labels(labels: Mapping[str, str]) -> str:
    return ",".join([f'{name}="{_escape(value)}"' for name, value in sorted(labels.items())])


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
