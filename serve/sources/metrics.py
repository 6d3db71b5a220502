"""Prometheus series of a source and its copy, read from the copy's status on each scrape."""

from collections.abc import Iterator
from pathlib import Path
from time import time

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from serve.sources.status import SourceStatus, read_status

UP = "adaptact_source_up"
SUCCEEDED = "adaptact_source_last_success_timestamp_seconds"
REFUSED = "adaptact_source_refused"
BYTES = "adaptact_source_bytes"
SERIES = (UP, SUCCEEDED, REFUSED, f"{BYTES}_total")
"""Of all workers together in each of them."""
SPARE_INTERVALS, SPARE_SECONDS = 3, 600
"""A source not asked for so long counts as away: the program that asks it hangs, or does not start."""


class SourceCollector(Collector):
    """The series of one copy."""

    def __init__(self, folder: Path) -> None:
        """The models folder that is the copy."""
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        """The series as they are now."""
        status = read_status(self._folder)
        yield GaugeMetricFamily(UP, "Whether the source of models answers: 1 or 0.", is_up(status, time()))
        yield GaugeMetricFamily(
            SUCCEEDED, "When the source last answered, in seconds since 1970; 0 for never.", status.succeeded
        )
        yield GaugeMetricFamily(
            REFUSED,
            "Parts of the source that are not taken, since they are not what they should be.",
            len(status.refusals),
        )
        yield CounterMetricFamily(BYTES, "Bytes that were fetched from the source.", status.bytes)


def is_up(status: SourceStatus, now: float) -> bool:
    """Whether the source answered when it was last asked, which is not long ago."""
    longest = SPARE_INTERVALS * status.interval_seconds + SPARE_SECONDS
    return status.is_up and abs(now - status.checked) <= longest
