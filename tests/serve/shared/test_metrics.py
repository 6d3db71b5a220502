import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from serve.engine.metrics import Histogram
from serve.shared.metrics import sum_metrics


def exposition(requests: int, ready: int, seconds: list[float]) -> str:
    registry = CollectorRegistry()
    counter = Counter("adaptact_inference_requests", "Requests.", ["model", "code"], registry=registry)
    counter.labels("m", 200).inc(requests)
    counter.labels('odd "name"\n', requests).inc()
    Gauge("adaptact_model_ready", "Ready.", ["model"], registry=registry).labels("m").set(ready)
    histogram = Histogram("adaptact_seconds", "Seconds.", ["model"], (0.1, 1.0), registry).labels("m")
    for each in seconds:
        histogram.observe(each)
    return generate_latest(registry).decode()


def samples(text: str) -> dict[tuple[str, str], float]:
    return {
        (sample.name, ",".join(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def test_counters_and_histograms_of_all_workers_are_added_up() -> None:
    found = samples(sum_metrics([exposition(3, 1, [0.05, 0.5]), exposition(4, 1, [2.0])]).decode())
    assert found["adaptact_inference_requests_total", "200,m"] == 7
    assert found["adaptact_seconds_bucket", "0.1,m"] == 1
    assert found["adaptact_seconds_bucket", "1.0,m"] == 2
    assert found["adaptact_seconds_bucket", "+Inf,m"] == 3
    assert found["adaptact_seconds_count", "m"] == 3
    assert found["adaptact_seconds_sum", "m"] == pytest.approx(2.55)


def test_a_series_that_only_one_worker_has_stays_as_it_is() -> None:
    found = samples(sum_metrics([exposition(3, 1, []), exposition(4, 1, [])]).decode())
    assert found["adaptact_inference_requests_total", '3,odd "name"\n'] == 1
    assert found["adaptact_inference_requests_total", '4,odd "name"\n'] == 1


def test_a_model_is_ready_when_every_worker_has_it() -> None:
    assert (
        samples(sum_metrics([exposition(1, 1, []), exposition(1, 0, [])]).decode())[
            "adaptact_model_ready", "m"
        ]
        == 0
    )


def test_of_one_worker_nothing_changes() -> None:
    text = exposition(3, 1, [0.5])
    assert samples(sum_metrics([text]).decode()) == samples(text)
