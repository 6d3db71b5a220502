import asyncio
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client import Histogram as Reference

from serve.engine import Engine
from serve.engine.metrics import Histogram, Metrics, ModelMetrics
from tests.serve import models
from tests.serve.engine.conftest import Opened
from tests.serve.engine.requests import ROW, collect, put, start_requests

DURATION = "adaptact_inference_duration_seconds"


def test_metrics_are_only_on_the_given_registry() -> None:
    Metrics(CollectorRegistry())
    assert not [family.name for family in REGISTRY.collect() if family.name.startswith("adaptact")]


def test_a_models_series_carry_its_name_and_version(metrics: Metrics) -> None:
    of_model = ModelMetrics(metrics, "digits", "3")
    of_model.count_request(200)
    of_model.count_request(200)
    of_model.compute.observe(0.5)
    of_model.batch_size.observe(4)
    key = {"model": "digits", "version": "3"}
    value = metrics.registry.get_sample_value
    assert value("adaptact_inference_requests_total", key | {"code": "200"}) == 2
    assert value(f"{DURATION}_sum", key | {"stage": "compute"}) == 0.5
    assert value("adaptact_batch_size_sum", key) == 4


def test_a_version_that_nobody_asked_has_no_histograms(metrics: Metrics) -> None:
    unused = ModelMetrics(metrics, "m", "1")
    assert not unused.is_used
    assert f"{DURATION}_count" not in generate_latest(metrics.registry).decode()
    unused.count_alone(1, 0.5, 1.0)
    assert unused.is_used
    labels = {"model": "m", "version": "1", "stage": "compute"}
    assert metrics.registry.get_sample_value(f"{DURATION}_count", labels) == 1


def test_requests_for_unknown_models_are_counted_without_a_name(metrics: Metrics) -> None:
    metrics.unknown.count_request(404)
    labels = {"model": "", "version": "", "code": "404"}
    assert metrics.registry.get_sample_value("adaptact_inference_requests_total", labels) == 1


def _count(engine: Engine) -> dict[str, float]:
    """The counters and histograms of all models, by what the series are called with their labels."""
    return {
        f"{sample.name} {sample.labels}": sample.value
        for family in engine.metrics.registry.collect()
        for sample in family.samples
        if family.type in ("counter", "histogram") and sample.labels.get("model")
    }


def test_a_series_is_never_lost_nor_reset_while_the_server_runs(tmp_path: Path, opened: Opened) -> None:
    put(tmp_path, models.DOUBLE)
    engine = opened()

    async def use() -> list[dict[str, float]]:
        counts = []
        for _ in range(2):
            engine.model("double").metrics.count_request(200)
            await collect(start_requests(engine, "double", ROW))
            counts.append(_count(engine))
            await engine.unload("double")
            counts.append(_count(engine))
            await engine.load("double")
            counts.append(_count(engine))
        return counts

    used, unloaded, loaded, *again = asyncio.run(use())
    assert used == unloaded == loaded
    assert all(later.keys() == used.keys() for later in again)
    assert all(value >= used[name] for name, value in again[-1].items())
    assert any("duration_seconds_count" in name for name in used)


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
