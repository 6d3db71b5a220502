import asyncio

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Info, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from serve.engine.metrics import Histogram
from serve.shared.channel import Json
from serve.shared.metrics import METRICS, collect_metrics, register_metrics
from serve.shared.worker_group import WorkerGroup


class Workers(WorkerGroup):
    """Workers with these registries."""

    def __init__(self, *registries: CollectorRegistry) -> None:
        super().__init__()
        self._groups = [WorkerGroup() for _ in registries]
        for group, registry in zip(self._groups, registries, strict=True):
            register_metrics(registry, group)

    async def broadcast(self, verb: str, *arguments: Json) -> list[Json]:
        assert verb == METRICS
        return [await group.answer(verb, list(arguments)) for group in self._groups]


def make_registry(requests: int, ready: int, seconds: list[float]) -> CollectorRegistry:
    registry = CollectorRegistry()
    counter = Counter("adaptact_inference_requests", "Requests.", ["model", "code"], registry=registry)
    counter.labels("m", 200).inc(requests)
    counter.labels('odd "name"\n\\', requests).inc()
    Gauge("adaptact_model_ready", "Ready.", ["model"], registry=registry).labels("m").set(ready)
    histogram = Histogram("adaptact_seconds", "Seconds.\n", ["model"], (0.1, 1.0), registry)
    for each in seconds:
        histogram.labels("m").observe(each)
    histogram.labels("unused")
    return registry


def expose(*registries: CollectorRegistry) -> str:
    return asyncio.run(collect_metrics(Workers(*registries))).decode()


def samples(text: str) -> dict[tuple[str, str], float]:
    return {
        (sample.name, ",".join(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def test_counters_and_histograms_of_all_workers_are_added_up() -> None:
    found = samples(expose(make_registry(3, 1, [0.05, 0.5]), make_registry(4, 1, [2.0])))
    assert found["adaptact_inference_requests_total", "200,m"] == 7
    assert found["adaptact_seconds_bucket", "0.1,m"] == 1
    assert found["adaptact_seconds_bucket", "1.0,m"] == 2
    assert found["adaptact_seconds_bucket", "+Inf,m"] == 3
    assert found["adaptact_seconds_count", "m"] == 3
    assert found["adaptact_seconds_sum", "m"] == pytest.approx(2.55)


def test_a_series_that_only_one_worker_has_stays_as_it_is() -> None:
    found = samples(expose(make_registry(3, 1, []), make_registry(4, 1, [0.5])))
    assert found["adaptact_inference_requests_total", '3,odd "name"\n\\'] == 1
    assert found["adaptact_inference_requests_total", '4,odd "name"\n\\'] == 1
    assert found["adaptact_seconds_count", "m"] == 1


def test_a_model_is_ready_when_every_worker_has_it() -> None:
    found = samples(expose(make_registry(1, 1, []), make_registry(1, 0, [])))
    assert found["adaptact_model_ready", "m"] == 0


def test_it_says_what_the_client_library_writes() -> None:
    registry = make_registry(3_000_000, 1, [0.5, 7e9])
    Info("build", "What runs.", registry=registry).info({"version": "1"})
    Gauge("odd", "No number.", registry=registry).set(float("nan"))
    text, reference = expose(registry), generate_latest(registry).decode()
    found, expected = samples(text), samples(reference)
    assert str(found.pop(("odd", ""))) == str(expected.pop(("odd", ""))) == "nan"
    assert found == expected
    comments = [line for line in reference.splitlines() if line[0] == "#" and "_created" not in line]
    assert [line for line in text.splitlines() if line[0] == "#"] == comments


def test_series_without_observations_are_left_out() -> None:
    assert "unused" not in expose(make_registry(1, 1, [0.5]))


def test_others_have_turns_between_families_and_pieces() -> None:
    registry = CollectorRegistry()
    histogram = Histogram("adaptact_seconds", "Seconds.", ["model"], (0.1, 1.0), registry)
    for position in range(1000):
        histogram.labels(f"m{position}").observe(1)
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async def scrape() -> None:
        counting = asyncio.create_task(count_turns())
        await collect_metrics(Workers(registry))
        counting.cancel()

    asyncio.run(scrape())
    assert turns > 10


def test_a_series_that_is_of_all_workers_in_each_is_not_added_up() -> None:
    registries = [CollectorRegistry(), CollectorRegistry()]
    for registry, value in zip(registries, (0.5, 0.25), strict=True):
        Gauge("adaptact_drift_psi", "Drift.", ["model"], registry=registry).labels("m").set(value)
    assert samples(expose(*registries)) == {("adaptact_drift_psi", "m"): 0.5}
