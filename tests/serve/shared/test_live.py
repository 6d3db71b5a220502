import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from serve.engine import Engine, Metrics, open_engine
from serve.engine.metrics import SECOND_BOUNDS, Series
from serve.rollout.measuring import VariantMetrics
from serve.shared.live import LIVE, LiveReader
from serve.shared.process_memory import ProcessMemory
from serve.shared.worker_group import WorkerGroup
from tests.serve import models
from tests.serve.conftest import options
from tests.serve.shared.pair import Pair

ROW = {"x": np.ones((1, 3), np.float32)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    models.put(tmp_path / "models", "double", models.model(models.DOUBLE))
    models.put(tmp_path / "models", "double", models.model(models.DOUBLE), "10")
    return tmp_path / "models"


def _open(folder: Path) -> Engine:
    return open_engine(options(folder), Metrics(CollectorRegistry()))


def _serve(engine: Engine, requests: int) -> None:
    async def run() -> None:
        for _ in range(requests):
            model = engine.model("double", "10")
            await engine.run(model, ROW)
            model.metrics.count_answer(1e-6, 1e-6, 0.001)
            model.metrics.count_request(200)

    asyncio.run(run())


def _variant(answered: float) -> VariantMetrics:
    made = VariantMetrics(Series(SECOND_BOUNDS))
    made.answered.observe(answered)
    return made


def test_workers_are_added_up(folder: Path) -> None:
    first, second = _open(folder), _open(folder)
    try:
        other = WorkerGroup()
        LiveReader(second, other, lambda: [("try", "b", _variant(100.0))])
        own = LiveReader(
            first, Pair(other), lambda: [("try", "b", _variant(1e-5)), ("try", "a", _variant(1.0))]
        )
        _serve(first, 2)
        _serve(second, 3)
        second.model("double", "10").metrics.count_request(503)
        first.metrics.rejected.labels("key").inc()
        second.metrics.rejected.labels("key").inc(2)
        snapshot: dict[str, Any] = json.loads(asyncio.run(own.read()))
    finally:
        first.close()
        second.close()
    assert snapshot["workers"] == 2
    assert snapshot["generation"] >= snapshot["since"]
    assert snapshot["rejected"]["key"] == 3
    assert [each["version"] for each in snapshot["models"]] == ["1", "10"]
    totals = snapshot["models"][1]
    assert (totals["requests"], totals["errors"], totals["codes"]) == (6, 1, {"200": 5, "503": 1})
    assert (totals["rows"], totals["runs"], totals["batches"]) == (5, 5, [5])
    assert sum(totals["latency"]) == 5
    assert totals["latency_total"] == pytest.approx(0.005)
    assert totals["stages"]["input"] == pytest.approx(5e-6)
    variants = {each["variant"]: each for each in snapshot["variants"]}
    assert list(variants) == ["a", "b"]
    assert variants["b"]["outcomes"]["answered"] == sum(variants["b"]["latency"]) == 2
    assert len(variants["b"]["latency"]) == len(SECOND_BOUNDS) + 1
    assert variants["b"]["latency_total"] == pytest.approx(100.00001)


def test_a_version_that_is_unloaded_meanwhile_is_left_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = _open(folder)
    try:
        workers = WorkerGroup()
        LiveReader(engine, workers)
        monkeypatch.setattr(engine, "queue_depths", lambda: {("double", "1"): 0, ("gone", "1"): 0})
        answer = asyncio.run(workers.answer(LIVE, []))
    finally:
        engine.close()
    assert [record[0] for record in answer["versions"]] == ["double"]


def _put_process(proc: Path, process: int, kibibytes: int, children: str = "") -> None:
    task = proc / str(process) / "task" / str(process)
    task.mkdir(parents=True)
    (task / "children").write_text(children)
    (proc / str(process) / "smaps_rollup").write_text(
        f"00-ff ---p [rollup]\nRss: 9 kB\nPss: {kibibytes} kB\n"
    )


def test_memory_is_that_of_a_process_and_its_children(tmp_path: Path) -> None:
    _put_process(tmp_path, 1, 100, "2 3 4 ")
    _put_process(tmp_path, 2, 20)
    _put_process(tmp_path, 3, 3)  # of 4 nothing is left
    memory = ProcessMemory(1, tmp_path)
    assert memory.read() == 123 * 1024
    (tmp_path / "1" / "smaps_rollup").unlink()
    assert memory.read() == 123 * 1024  # not read again so soon
    assert ProcessMemory(1, tmp_path).read() is None
