import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from serve.engine import Engine, EngineOptions, footprint
from serve.engine.footprint import FootprintTask, make_footprint
from serve.engine.repository import ModelFile
from serve.experiments.stages import Phase, Pin
from serve.rollout.expense import LEAST_REQUESTS, TIMED_RUNS, measure_expense
from tests.serve import models
from tests.serve.experiments.definitions import make_experiment
from tests.waiting import until

X = {"x": np.ones((1, 3), np.float32)}
OPTIONS = EngineOptions(folder=Path("models"))
PHASE = Phase(2, 1, "ramp", 50.0, 0, "anne", "")


def ask(engine: Engine, version: str, times: int) -> None:
    async def run() -> None:
        for _ in range(times):
            await engine.run(engine.model("digits", version), X)

    asyncio.run(run())


def test_a_variant_takes_the_seconds_of_its_runs(engine: Engine) -> None:
    experiment = make_experiment()
    ask(engine, "1", LEAST_REQUESTS)
    found = measure_expense(engine, experiment, PHASE)["control"]
    (known,) = engine.own_statistics("digits", "1")
    mean_ns = known.inference_stats.compute_infer.ns / known.inference_stats.compute_infer.count
    # One request at a time, so that each run is one request's; 1000 requests of so many ns.
    assert found.run_seconds_per_thousand == pytest.approx(mean_ns / 1e6, rel=1e-3)
    assert found.model_bytes == len(models.model(models.DOUBLE).SerializeToString())


def test_the_memory_of_a_variant_is_measured_with_the_rows_of_its_runs(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[tuple[str, int]] = []

    def measure(task: FootprintTask, rows: int) -> int:
        measured.append((task.version, rows))
        return 7

    monkeypatch.setattr(footprint, "measure_footprint", measure)
    model = engine.model("digits", "1")
    footprint_of_file = make_footprint(ModelFile("digits", "1", Path("f")), OPTIONS, "cpu", 1)
    monkeypatch.setattr(model, "footprint", footprint_of_file)
    experiment = make_experiment()
    ask(engine, "1", LEAST_REQUESTS)
    until(lambda: measure_expense(engine, experiment, PHASE)["control"].memory_bytes == 7)
    assert measured == [("1", 1)]


def test_processor_seconds_are_those_of_runs_that_were_timed(engine: Engine) -> None:
    experiment = make_experiment(candidates=[{"name": "candidate", "version": "2"}])
    measure_expense(engine, experiment, PHASE)
    ask(engine, "2", LEAST_REQUESTS + TIMED_RUNS)
    assert engine.model("digits", "2").processor_time.wanted == 0
    found = measure_expense(engine, experiment, PHASE)["candidate"]
    assert found.run_seconds_per_thousand is not None
    assert found.cpu_seconds_per_thousand is not None
    # On one thread; the two clocks are not read at once.
    assert 0 < found.cpu_seconds_per_thousand < 1.5 * found.run_seconds_per_thousand


def test_what_has_hardly_run_or_is_not_there_has_no_expense(engine: Engine) -> None:
    unknown = {"name": "candidate", "version": "17"}
    assert "candidate" not in measure_expense(engine, make_experiment(candidates=[unknown]), PHASE)


def test_the_expense_is_that_of_the_pinned_version(engine: Engine) -> None:
    experiment = make_experiment(candidates=[{"name": "candidate", "version": "stable"}])
    pinned = replace(PHASE, pins={"candidate": Pin("digits", "2")})
    ask(engine, "2", LEAST_REQUESTS)
    two = engine.model("digits", "2").file_bytes
    assert two != engine.model("digits", "stable").file_bytes
    assert measure_expense(engine, experiment, pinned)["candidate"].model_bytes == two
