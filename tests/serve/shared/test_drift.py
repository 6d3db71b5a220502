import asyncio
import logging
from typing import Any

import numpy as np
import pytest

from serve.engine import Engine
from serve.engine.errors import ModelUnavailableError, UnknownModelError
from serve.engine.signature import Array
from serve.shared.channel import Json
from serve.shared.drift import DRIFT, SharedDrift
from serve.shared.worker_group import WorkerGroup
from tests.serve.drift.files import Watched, draw
from tests.waiting import SECONDS


class Pair(WorkerGroup):
    """A group in which another process answers too, once it has said something."""

    def __init__(self) -> None:
        super().__init__()
        self.other: Json = None

    async def broadcast(self, verb: str, *arguments: Json) -> list[Json]:
        own = await super().broadcast(verb, *arguments)
        return own if self.other is None else [*own, self.other]


@pytest.fixture
def pair() -> Pair:
    return Pair()


@pytest.fixture
def drift(watched: Watched, pair: Pair) -> SharedDrift:
    return SharedDrift(*watched, pair)


async def _ask(watched: Watched, values: Array) -> None:
    engine = watched.engine
    for start in range(0, len(values), 16):
        await engine.run(engine.model("net"), {"x": values[start : start + 16]})
    watched.monitor.count_now()


def _read(engine: Engine, name: str) -> dict[str, float]:
    return {
        sample.labels.get("tensor", sample.labels.get("layer", "")): sample.value
        for family in engine.metrics.registry.collect()
        for sample in family.samples
        if sample.name == name
    }


def test_counts_of_all_workers_are_judged_together(watched: Watched, pair: Pair, drift: SharedDrift) -> None:
    async def ask() -> Any:
        await _ask(watched, draw(320, 1))
        assert (await drift.report("net")).verdict == "waiting"
        pair.other = await pair.answer(DRIFT, []) | {"process": 1}
        return await drift.report("net")

    report = asyncio.run(ask())
    assert (report.verdict, report.rows) == ("stable", 640)


def test_counts_by_another_baseline_are_left(watched: Watched, pair: Pair, drift: SharedDrift) -> None:
    async def ask() -> Any:
        await _ask(watched, draw(320, 1))
        [window] = (await pair.answer(DRIFT, []))["windows"]
        window[2] = "another"
        pair.other = {"process": 1, "windows": [window]}
        return await drift.report("net")

    assert asyncio.run(ask()).rows == 320


def test_every_version_that_can_answer_has_a_report(drift: SharedDrift) -> None:
    reports = asyncio.run(drift.report_all())
    assert [(each.model, each.version, each.verdict) for each in reports] == [
        ("net", "1", "waiting"),
        ("plain", "1", "no baseline"),
    ]
    assert "--samples" in reports[1].summary
    assert asyncio.run(drift.report("plain", "1")).verdict == "no baseline"


def test_what_is_not_served_has_none(drift: SharedDrift) -> None:
    with pytest.raises(UnknownModelError):
        asyncio.run(drift.report("absent"))
    with pytest.raises((UnknownModelError, ModelUnavailableError)):
        asyncio.run(drift.report("net", "9"))


def test_what_begins_and_ceases_to_drift_is_logged_once(
    watched: Watched, drift: SharedDrift, caplog: pytest.LogCaptureFixture
) -> None:
    async def look_at(values: Array) -> None:
        await _ask(watched, values)
        await drift.look()
        await drift.look()

    with caplog.at_level(logging.INFO, "adaptact"):
        asyncio.run(look_at(draw(640, 1) + np.float32(1)))
        assert _read(watched.engine, "adaptact_drift_alarm") == {"": 1}
        asyncio.run(look_at(draw(9600, 2)))
    assert _read(watched.engine, "adaptact_drift_alarm") == {"": 0}
    begun, ended = [record.getMessage() for record in caplog.records]
    assert begun.startswith("model `net` version `1` drifts: input x: PSI is")
    assert ended.startswith("model `net` version `1` drifts no more")


def test_an_alarm_that_ends_for_want_of_rows_or_with_the_server_is_said_so(
    watched: Watched,
    drift: SharedDrift,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def look() -> None:
        await drift.look()
        assert _read(watched.engine, "adaptact_drift_alarm") == {}
        await _ask(watched, draw(640, 1) + np.float32(1))
        await drift.look()
        await drift.stop(0)
        monkeypatch.setattr("serve.drift.judging.LEAST_ROWS", 1000)
        await drift.look()
        await drift.stop(0)

    with caplog.at_level(logging.INFO, "adaptact"):
        asyncio.run(look())
    assert _read(watched.engine, "adaptact_drift_alarm") == {}
    _, stopped, unknown = [record.getMessage() for record in caplog.records]
    assert stopped.startswith("model `net` version `1` drifts as the server stops")
    assert unknown.startswith("model `net` version `1` is not known to drift any more: 640 live rows")


def test_the_series_are_of_the_last_look(watched: Watched, drift: SharedDrift) -> None:
    async def look() -> None:
        await _ask(watched, draw(640, 1) * np.array([1, 3], np.float32))
        await drift.look()

    assert _read(watched.engine, "adaptact_drift_psi") == {}
    asyncio.run(look())
    psi, ks = _read(watched.engine, "adaptact_drift_psi"), _read(watched.engine, "adaptact_drift_ks")
    assert set(psi) == set(ks) == {"x", "y"}
    assert psi["x"] > 0.25
    assert _read(watched.engine, "adaptact_drift_rows_total") == {"": 640}
    assert _read(watched.engine, "adaptact_drift_dropped_total") == {"": 0}


def test_another_worker_speaks_for_all(
    watched: Watched, pair: Pair, drift: SharedDrift, caplog: pytest.LogCaptureFixture
) -> None:
    pair.other = {"process": 1, "windows": []}

    async def look() -> None:
        await _ask(watched, draw(640, 1) + np.float32(1))
        await drift.look()

    asyncio.run(look())
    assert caplog.records == []
    assert _read(watched.engine, "adaptact_drift_alarm") == {"": 1}


def test_it_looks_by_itself_until_it_is_stopped(drift: SharedDrift, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.shared.drift.LOOK_SECONDS", 0.001)
    looked = asyncio.Event()

    async def look() -> None:
        looked.set()

    async def run() -> None:
        monkeypatch.setattr(drift, "look", look)
        await drift.start()
        await asyncio.wait_for(looked.wait(), SECONDS)
        await drift.stop(0)

    asyncio.run(run())
