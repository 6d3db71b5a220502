"""Triton's own words for each series stand in its page on metrics; what is counted here is held to them."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from serve.engine import Engine, Metrics
from serve.engine.collectors import COUNTS, DURATIONS, PENDING, register_collectors
from tests.serve import models
from tests.serve.engine.conftest import Opened
from tests.serve.engine.gate import Gate
from tests.serve.engine.requests import ROW, collect, put, run_behind, start_requests

# The names, as a dashboard for Triton asks for them.
NAMES = {
    "nv_inference_request_success",
    "nv_inference_request_failure",
    "nv_inference_count",
    "nv_inference_exec_count",
    "nv_inference_pending_request_count",
    "nv_inference_request_duration_us",
    "nv_inference_queue_duration_us",
    "nv_inference_compute_input_duration_us",
    "nv_inference_compute_infer_duration_us",
    "nv_inference_compute_output_duration_us",
}


def series(metrics: Metrics, prefix: str) -> dict[str, Any]:
    """By name: the value, or where there are reasons the values by reason."""
    values: dict[str, Any] = {}
    for family in text_string_to_metric_families(generate_latest(metrics.registry).decode()):
        for sample in family.samples:
            if sample.name.startswith(prefix):
                reason = sample.labels.get("reason")
                if reason is None:
                    values[sample.name] = sample.value
                else:
                    values.setdefault(sample.name, {})[reason] = sample.value
    return values


def triton(engine: Engine) -> dict[str, Any]:
    return series(engine.metrics, "nv_")


def test_tritons_names_are_optional(tmp_path: Path, opened: Opened) -> None:
    put(tmp_path, models.DOUBLE)
    assert (
        set(triton(opened(triton_names=True)))
        == NAMES
        == {*COUNTS, *DURATIONS, PENDING, "nv_inference_request_success", "nv_inference_request_failure"}
    )
    assert triton(opened()) == {}


def test_rows_runs_and_times_are_those_of_joined_requests(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, models.DOUBLE)
    engine = opened(concurrency=1, triton_names=True)
    gate = Gate(engine.model("double"), monkeypatch)
    asyncio.run(run_behind(engine, gate, "double", ROW, ROW, np.tile(ROW, (5, 1))))
    values = triton(engine)
    assert (values["nv_inference_count"], values["nv_inference_exec_count"]) == (7, 2)
    spent = sum(
        values[f"nv_inference_{stage}_duration_us"]
        for stage in ("queue", "compute_input", "compute_infer", "compute_output")
    )
    assert values["nv_inference_request_duration_us"] == pytest.approx(spent, abs=4)
    assert values["nv_inference_queue_duration_us"] > 0


def test_what_waits_is_counted_and_what_runs_is_not(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, models.DOUBLE)
    engine = opened(concurrency=1, triton_names=True)
    gate = Gate(engine.model("double"), monkeypatch)

    def depths() -> tuple[float, float]:
        own = series(engine.metrics, "adaptact_queue_depth").get("adaptact_queue_depth", 0)
        return own, triton(engine)["nv_inference_pending_request_count"]

    async def watched() -> list[tuple[float, float]]:
        seen = [depths()]
        tasks = start_requests(engine, "double", ROW)
        await asyncio.to_thread(gate.wait_for_a_run)
        seen.append(depths())
        tasks += start_requests(engine, "double", ROW, ROW)
        await asyncio.sleep(0)
        seen.append(depths())
        gate.open()
        await collect(tasks)
        return [*seen, depths()]

    assert asyncio.run(watched()) == [(0, 0), (0, 0), (2, 2), (0, 0)]


@pytest.mark.parametrize(
    ("codes", "reason"),
    [
        ((429, 503, 504, 4, 8, 14), "REJECTED"),
        ((499, 1), "CANCELED"),
        ((500, 13), "BACKEND"),
        ((400, 404, 413, 415, 3, 5, 12), "OTHER"),
    ],
)
def test_failures_are_told_apart_by_what_they_came_of(
    metrics: Metrics, codes: tuple[int, ...], reason: str
) -> None:
    register_collectors(metrics, list, dict, triton_names=True)
    for code in (*codes, 200, 0):
        metrics.for_version("m", "1").count_request(code)
    values = series(metrics, "nv_")
    failures = values["nv_inference_request_failure"]
    assert {each: count for each, count in failures.items() if count} == {reason: len(codes)}
    assert values["nv_inference_request_success"] == 2


def test_requests_for_unknown_models_are_no_models_failures(metrics: Metrics) -> None:
    register_collectors(metrics, list, dict, triton_names=True)
    metrics.unknown.count_request(404)
    assert series(metrics, "nv_").keys() & {"nv_inference_request_failure"} == set()


def test_a_version_that_nobody_asked_has_every_series_at_zero(metrics: Metrics) -> None:
    unused = [metrics.for_version("m", "1").statistics()]
    register_collectors(metrics, lambda: unused, lambda: {("m", "1"): 0}, triton_names=True)
    values = series(metrics, "nv_")
    assert values.pop("nv_inference_request_failure") == dict.fromkeys(
        ("REJECTED", "CANCELED", "BACKEND", "OTHER"), 0
    )
    assert set(values.values()) == {0}


def test_the_depth_of_a_queue_that_nobody_used_is_left_out(metrics: Metrics) -> None:
    depths = {("asked", "1"): 0, ("waiting", "1"): 2, ("unused", "1"): 0}
    metrics.for_version("asked", "1").count_request(200)
    register_collectors(metrics, list, lambda: depths, triton_names=False)
    text = generate_latest(metrics.registry).decode()
    lines = [line for line in text.splitlines() if line.startswith("adaptact_queue_depth{")]
    assert lines == [
        'adaptact_queue_depth{model="asked",version="1"} 0.0',
        'adaptact_queue_depth{model="waiting",version="1"} 2.0',
    ]
