import asyncio
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson
import pytest
from prometheus_client import CollectorRegistry

from serve.drift.judging import judge
from serve.drift.making import make_baseline
from serve.drift.monitor import DriftMonitor
from serve.drift.options import DriftOptions
from serve.drift.watcher import Watcher
from serve.engine import Engine, Metrics, open_engine
from serve.engine.datatypes import BFLOAT16
from serve.shared.drift import SharedDrift
from serve.shared.worker_group import WorkerGroup
from tests.serve import models
from tests.serve.conftest import options
from tests.serve.drift.files import IDS, NET, ask, draw
from tests.serve.drift.files import make_baseline as make_at_export


def _open(folder: Path, monitor: DriftMonitor) -> Engine:
    chosen = options(folder / "models", observe=monitor.watch, digests=True)
    return open_engine(chosen, Metrics(CollectorRegistry()))


@pytest.fixture
def monitor(tmp_path: Path) -> Iterator[DriftMonitor]:
    state = tmp_path / "state"
    made = DriftMonitor(DriftOptions(requests_per_second=1e9, first_rows=640, state_folder=state))
    yield made
    made.close()


@pytest.fixture
def net(tmp_path: Path, monitor: DriftMonitor) -> Iterator[Engine]:
    """A model without a baseline."""
    models.put(tmp_path / "models", "net", models.model(NET))
    engine = _open(tmp_path, monitor)
    yield engine
    engine.close()


def _judge(monitor: DriftMonitor) -> dict[str, str]:
    [window] = monitor.read_windows()
    report = judge(window.name, window.version, window.baseline, window.tallies, window.seconds)
    return {"verdict": report.verdict, "baseline": str(report.baseline_rows)}


def test_later_rows_are_compared_with_the_first(net: Engine, monitor: DriftMonitor) -> None:
    ask(net, monitor, draw(320, 1))
    assert list(monitor.read_windows()) == []
    ask(net, monitor, draw(320, 2))
    ask(net, monitor, draw(640, 3))
    assert _judge(monitor) == {"verdict": "stable", "baseline": "640"}
    ask(net, monitor, draw(1280, 4) + np.float32(1.5))
    assert _judge(monitor)["verdict"] == "drifted"


def test_they_outlast_the_server(tmp_path: Path, net: Engine, monitor: DriftMonitor) -> None:
    ask(net, monitor, draw(640, 1))
    again = DriftMonitor(DriftOptions(first_rows=5000, state_folder=tmp_path / "state"))
    engine = _open(tmp_path, again)
    again.count_now()
    [first], [second] = list(monitor.read_windows()), list(again.read_windows())
    assert first.baseline.digest == second.baseline.digest
    engine.close()
    again.close()


def test_workers_agree_on_those_of_one(tmp_path: Path, net: Engine, monitor: DriftMonitor) -> None:
    other = DriftMonitor(
        DriftOptions(requests_per_second=1e9, first_rows=640, state_folder=tmp_path / "state")
    )
    engine = _open(tmp_path, other)
    ask(engine, other, draw(320, 7))
    ask(net, monitor, draw(640, 1))
    other.count_now()
    [first], [second] = list(monitor.read_windows()), list(other.read_windows())
    assert first.baseline.digest == second.baseline.digest
    assert [path.suffix for path in (tmp_path / "state" / "drift").iterdir()] == [".json"]
    engine.close()
    other.close()


def test_how_far_it_is_is_said(net: Engine, monitor: DriftMonitor) -> None:
    drift = SharedDrift(net, monitor, WorkerGroup())
    ask(net, monitor, draw(32, 1))
    report = asyncio.run(drift.report("net"))
    assert report.verdict == "no baseline"
    assert report.summary == "no baseline yet: one worker has met 32 of the 640 first rows"


@pytest.mark.parametrize("content", ["{", "[]", "null", '{"rows": 5, "series": [1]}'])
def test_a_stored_baseline_that_is_none_is_said_and_left(
    tmp_path: Path, net: Engine, monitor: DriftMonitor, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "state" / "drift" / f"{net.model('net').digest}.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with caplog.at_level(logging.WARNING, "adaptact"):
        monitor.count_now()
    assert "drift is not watched" in caplog.text
    assert net.model("net").observer is None
    assert path.read_text() == content


def test_a_file_s_own_baseline_goes_before(tmp_path: Path, monitor: DriftMonitor) -> None:
    content = {"baseline": make_at_export(NET, draw(300))}
    models.put(tmp_path / "models", "net", models.with_manifest(models.model(NET), content))
    engine = _open(tmp_path, monitor)
    assert isinstance(engine.model("net").observer, Watcher)
    engine.close()


def test_ids_are_compared_by_name(tmp_path: Path, monitor: DriftMonitor) -> None:
    models.put(tmp_path / "models", "net", models.model(IDS))
    engine = _open(tmp_path, monitor)
    ids = np.random.default_rng(0).integers(5, size=1280)
    ask(engine, monitor, ids[:640], "ids")
    ask(engine, monitor, ids[640:], "ids")
    assert _judge(monitor)["verdict"] == "stable"
    engine.close()


def test_tensors_that_numpy_has_no_numbers_for_are_left(
    tmp_path: Path, monitor: DriftMonitor, caplog: pytest.LogCaptureFixture
) -> None:
    models.put(tmp_path / "models", "net", models.identity_model("BF16"))
    engine = _open(tmp_path, monitor)
    ask(engine, monitor, np.zeros((640, 2), BFLOAT16))
    assert "is no list of series" in caplog.text
    ask(engine, monitor, np.zeros((16, 2), BFLOAT16))
    engine.close()


def test_large_values_need_fewer_rows(
    net: Engine, monitor: DriftMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.drift.first_rows.LARGEST_KEPT", 4000)
    ask(net, monitor, draw(304, 1))
    assert _judge(monitor)["baseline"] == "304"


def test_what_is_unforeseen_ends_with_a_line_in_the_log(
    net: Engine, monitor: DriftMonitor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise TypeError("unforeseen")

    monkeypatch.setattr("serve.drift.first_rows.make_baseline", fail)
    ask(net, monitor, draw(640, 1))
    assert "drift is not watched: unforeseen" in caplog.text
    assert net.model("net").observer is None


def test_it_is_made_as_at_export() -> None:
    values = np.concatenate([np.round(draw(1000, 5), 2), np.full((1000, 1), np.nan, np.float32)], 1)
    values[0, 2] = np.inf
    pieces = [values[start : start + 10, :, None] for start in range(0, 1000, 10)]
    made = orjson.loads(orjson.dumps(make_baseline(1000, {("input", "x"): pieces})))
    expected = [
        each
        for each in make_at_export(NET.replace("N, 2", "N, 3"), values)["series"]
        if each["role"] == "input"
    ]
    for own, other in zip(made["series"], expected, strict=True):
        assert own["counts"] == other["counts"]
        np.testing.assert_allclose(own["edges"], other["edges"], rtol=1e-8)
        assert own | {"edges": 0, "outside": 0} == other | {"edges": 0, "outside": 0}
        assert own["outside"] == pytest.approx(other["outside"], abs=1e-6)


def test_servers_whose_processes_have_one_number_can_share_a_folder(
    net: Engine, monitor: DriftMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    [first] = monitor._list_first_rows()
    link = os.link

    def interrupt(*paths: Path) -> None:
        monkeypatch.setattr(os, "link", link)
        first._store(b"the other's")
        link(*paths)

    monkeypatch.setattr(os, "link", interrupt)
    first._store(b"its own")
    assert first._path.read_bytes() == b"the other's"
    assert list(first._path.parent.iterdir()) == [first._path]


def test_rows_that_are_no_baseline_are_not_kept(
    tmp_path: Path, net: Engine, monitor: DriftMonitor, caplog: pytest.LogCaptureFixture
) -> None:
    ask(net, monitor, draw(640) * np.float32("nan"))
    assert "drift is not watched: it holds no finite number" in caplog.text
    assert list((tmp_path / "state").rglob("*.json")) == []  # after a restart the next rows are looked at
