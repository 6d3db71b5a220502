"""Against the client library's own histogram."""

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Histogram as Reference

from serve.engine.histogram import Histogram

BOUNDS = (0.5, 1, 2.5)
VALUES = (0.0, 0.5, 0.50001, 1, 2, 2.5, 3, 1e9)


def _written(registry: CollectorRegistry) -> list[str]:
    lines = generate_latest(registry).decode().splitlines()
    return [line for line in lines if "_created" not in line]


def test_what_prometheus_reads_is_what_the_client_library_writes() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    made = Histogram("rows", "How many.", ["model", "version"], BOUNDS, ours)
    reference = Reference("rows", "How many.", ["model", "version"], buckets=BOUNDS, registry=theirs)
    for model in ("a", "b"):
        for value in VALUES:
            made.labels(model, "1").observe(value)
            reference.labels(model, "1").observe(value)
    assert _written(ours) == _written(theirs)
