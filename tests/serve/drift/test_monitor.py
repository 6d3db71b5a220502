import asyncio
import gc
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from convert.artefact.metadata_entries import replace_entries
from convert.manifest.entries import BASELINE_KEY
from serve.drift import watcher
from serve.drift.judging import DriftReport, judge
from serve.drift.monitor import DriftMonitor
from serve.drift.options import DriftOptions
from serve.drift.watcher import SampleCounts
from serve.engine import Engine
from serve.engine.signature import Array
from tests.serve import models
from tests.serve.drift import files
from tests.serve.drift.files import ALL, IDS, NET, ask, draw, open_watched

RANDOM = np.random.default_rng(7)


@pytest.fixture
def monitor() -> Iterator[DriftMonitor]:
    made = DriftMonitor(ALL)
    yield made
    made.close()


@pytest.fixture
def net(tmp_path: Path, monitor: DriftMonitor) -> Iterator[Engine]:
    """A model whose baseline is of normal values."""
    files.put(tmp_path, NET, draw(2000))
    engine = open_watched(tmp_path, monitor)
    yield engine
    engine.close()


def _judge(monitor: DriftMonitor) -> DriftReport:
    [window] = monitor.read_windows()
    return judge(window.name, window.version, window.baseline, window.tallies, window.seconds)


def test_a_stable_stream_is_stable(net: Engine, monitor: DriftMonitor) -> None:
    ask(net, monitor, draw(960, 1))
    report = _judge(monitor)
    assert (report.model, report.version, report.verdict) == ("net", "1", "stable")
    assert (report.rows, report.baseline_rows) == (960, 2000)
    assert all(each.reason == "" for each in report.series if each.role != "activation")
    assert all(sum(each.live) == pytest.approx(1) for each in report.series if each.role != "activation")


def test_a_shifted_column_is_found_and_the_other_is_not(net: Engine, monitor: DriftMonitor) -> None:
    values = draw(960, 1)
    values[:, 1] += 0.8
    ask(net, monitor, values)
    report = _judge(monitor)
    assert report.verdict == "drifted"
    verdicts = {(each.role, each.column): each.verdict for each in report.series}
    assert verdicts["input", 0] == "stable"
    assert verdicts["input", 1] == "drifted"
    [shifted] = [each for each in report.series if (each.role, each.column) == ("input", 1)]
    assert shifted.psi == pytest.approx(0.64, rel=0.35)  # the square of the shift
    assert re.match(
        r"PSI is [\d.]+, and the limit is 0\.1; KS is [\d.]+, and the limit is 0\.125", shifted.reason
    )


def test_a_small_shift_is_said_but_is_no_alarm(net: Engine, monitor: DriftMonitor) -> None:
    ask(net, monitor, draw(4000, 1) + np.float32(0.4))
    [column] = [each for each in _judge(monitor).series if (each.role, each.column) == ("input", 0)]
    assert column.verdict == "shifted"


def test_nothing_is_said_of_few_rows(net: Engine, monitor: DriftMonitor) -> None:
    assert _judge(monitor).verdict == "waiting"
    ask(net, monitor, draw(480, 1) + np.float32(9))
    report = _judge(monitor)
    assert report.verdict == "waiting"
    assert report.summary == "480 live rows in the window, 500 are needed"


def test_values_that_are_no_numbers_drift(net: Engine, monitor: DriftMonitor) -> None:
    values = draw(960, 1)
    values[::4] = np.nan
    ask(net, monitor, values)
    [column] = [each for each in _judge(monitor).series if (each.role, each.column) == ("input", 0)]
    assert column.verdict == "drifted"
    assert column.missing == pytest.approx(0.25)
    assert column.psi == pytest.approx(0, abs=0.05)
    assert column.reason.endswith(", NaN alone 0.25, and the limit is 0.021")


@pytest.mark.parametrize("fill", [np.nan, np.inf, 0.0])
def test_values_that_are_all_alike_drift(net: Engine, monitor: DriftMonitor, fill: float) -> None:
    ask(net, monitor, np.full((960, 2), fill, np.float32))
    assert _judge(monitor).verdict == "drifted"


@pytest.mark.parametrize("dead", [np.nan, np.inf])
@pytest.mark.parametrize("column", [0, 1])
def test_a_column_without_a_number_leaves_its_neighbours_their_places(
    tmp_path: Path, monitor: DriftMonitor, column: int, dead: float
) -> None:
    def make(seed: int, rows: int) -> Array:
        values = draw(rows, seed)
        values[:, column] = dead
        return values

    files.put(tmp_path, NET, make(0, 1000))
    engine = open_watched(tmp_path, monitor)
    ask(engine, monitor, make(1, 640))
    report = _judge(monitor)
    assert {each.verdict for each in report.series if each.role != "activation"} == {"stable"}
    assert {each.rows for each in report.series if each.role != "activation"} == {640}
    ask(engine, monitor, draw(640, 2))
    engine.close()
    drifted = [each for each in _judge(monitor).series if (each.role, each.verdict) == ("input", "drifted")]
    assert [each.column for each in drifted if each.column is not None] == [column]


def test_a_constant_column_that_changes_drifts(tmp_path: Path, monitor: DriftMonitor) -> None:
    constant = draw(1000)
    constant[:, 1] = 0.1
    files.put(tmp_path, NET, constant)
    engine = open_watched(tmp_path, monitor)
    ask(engine, monitor, constant[:640])
    assert _judge(monitor).verdict == "stable"
    changed = draw(640, 1)
    changed[:, 1] = 0.11
    ask(engine, monitor, changed)
    engine.close()
    report = _judge(monitor)
    [column] = [each for each in report.series if (each.role, each.column) == ("input", 1)]
    assert column.verdict == "drifted"
    assert report.summary.startswith("input x[1]: ")


def test_unseen_ids_drift(tmp_path: Path, monitor: DriftMonitor) -> None:
    files.put(tmp_path, IDS, RANDOM.integers(8, size=2000))
    engine = open_watched(tmp_path, monitor)
    ask(engine, monitor, RANDOM.integers(8, size=960), "ids")
    assert _judge(monitor).verdict == "stable"
    ask(engine, monitor, RANDOM.integers(8, size=960) + 2**40, "ids")
    engine.close()
    report = _judge(monitor)
    assert report.verdict == "drifted"
    assert report.series[0].live[-1] == pytest.approx(0.5)


def test_what_reaches_activations_is_seen(
    net: Engine, monitor: DriftMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each input is doubled before it; from the second run on, each request is looked at."""
    monkeypatch.setattr("serve.drift.layers.SHARE", 1e9)
    monkeypatch.setattr("serve.drift.layers.LOAD_SHARE", 1e9)
    values = draw(4000, 1)
    values[:, 0] *= 30
    for start in range(0, 4000, 400):
        ask(net, monitor, values[start : start + 400])
    [layer] = [each for each in _judge(monitor).series if each.role == "activation"]
    assert (layer.tensor, layer.layer, layer.verdict) == ("inner", "act", "drifted")
    assert layer.high is not None
    assert layer.outside == pytest.approx((np.abs(2 * values) > layer.high).mean(), abs=0.05)


def test_a_file_that_has_changed_is_not_loaded_for_its_activations(
    tmp_path: Path, net: Engine, monitor: DriftMonitor, caplog: pytest.LogCaptureFixture
) -> None:
    models.put(tmp_path, "net", models.model(models.DOUBLE))
    with caplog.at_level(logging.WARNING, "adaptact"):
        ask(net, monitor, draw(64, 1))
        ask(net, monitor, draw(64, 1))
    [message] = [record.getMessage() for record in caplog.records]
    assert "is not watched: `model.onnx` has changed since it was loaded" in message
    assert [each.rows for each in _judge(monitor).series if each.role == "activation"] == [0]


def test_large_models_are_not_loaded_twice(tmp_path: Path) -> None:
    small = DriftMonitor(DriftOptions(layers_limit_bytes=100))
    files.put(tmp_path, NET, draw(200))
    engine = open_watched(tmp_path, small)
    observer = engine.model("net").observer
    assert isinstance(observer, watcher.Watcher)
    assert observer.probe is None
    engine.close()
    small.close()


def test_a_model_without_a_baseline_is_not_observed(tmp_path: Path, monitor: DriftMonitor) -> None:
    models.put(tmp_path, "net", models.model(models.DOUBLE))
    engine = open_watched(tmp_path, monitor)
    assert engine.model("net").observer is None
    assert list(monitor.read_windows()) == []
    engine.close()


def test_a_model_with_a_hostile_baseline_is_served_without(
    tmp_path: Path, monitor: DriftMonitor, caplog: pytest.LogCaptureFixture
) -> None:
    content = files.make_baseline(NET, draw(200))
    content["series"][0]["counts"] = [1]
    models.put(tmp_path, "net", models.with_manifest(models.model(NET), {"baseline": content}))
    with caplog.at_level(logging.WARNING, "adaptact"):
        engine = open_watched(tmp_path, monitor)
    assert engine.model("net").observer is None
    assert "drift is not watched: the series of input `x` has not 20 counts" in caplog.text
    ask(engine, monitor, draw(16))
    engine.close()


def test_a_baseline_beside_the_manifest_goes_before_it(tmp_path: Path, monitor: DriftMonitor) -> None:
    entries = {BASELINE_KEY: files.make_record(NET, draw(300)).to_json()}
    path = models.put(tmp_path, "net", models.model(NET))
    path.write_bytes(replace_entries(path.read_bytes(), entries))
    models.put(tmp_path, "plain", replace_entries(models.model(NET).SerializeToString(), {BASELINE_KEY: "{"}))
    engine = open_watched(tmp_path, monitor)
    [window] = monitor.read_windows()
    assert (window.name, window.baseline.rows) == ("net", 300)
    engine.close()


def test_a_model_that_is_gone_is_watched_no_more(net: Engine, monitor: DriftMonitor) -> None:
    ask(net, monitor, draw(32, 1))
    asyncio.run(net.unload("net"))
    gc.collect()
    assert list(monitor.read_windows()) == []
    assert monitor.read_counts() == {}


def test_a_file_that_is_loaded_again_goes_on_with_its_window(net: Engine, monitor: DriftMonitor) -> None:
    ask(net, monitor, draw(32, 1))
    asyncio.run(net.load("net"))
    gc.collect()
    ask(net, monitor, draw(16, 1))
    [counted] = monitor.read_windows()
    assert counted.tallies[0, 0] == 48
    assert monitor.read_counts()["net", "1"].rows == 48


def test_a_request_without_rows_changes_nothing(net: Engine, monitor: DriftMonitor) -> None:
    asyncio.run(net.run(net.model("net"), {"x": draw(0)}))
    monitor.count_now()
    assert not next(iter(monitor.read_windows())).tallies.any()


def test_runs_beyond_the_room_are_dropped_and_counted(
    net: Engine, monitor: DriftMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "MOST_WAITING", 3)
    ask(net, monitor, draw(160, 1))
    counts = monitor.read_counts()["net", "1"]
    assert (counts.rows, counts.dropped) == (48, 7)
    ask(net, monitor, draw(16, 1))
    assert counts.rows == 64


def test_few_requests_of_many_are_chosen(tmp_path: Path) -> None:
    rare = DriftMonitor(DriftOptions(requests_per_second=2))
    files.put(tmp_path, NET, draw(200))
    engine = open_watched(tmp_path, rare)
    ask(engine, rare, draw(1600, 1))
    assert rare.read_counts()["net", "1"].rows == 8 * 16  # a burst of four seconds
    engine.close()
    rare.close()


def test_requests_are_answered_whatever_the_counting_meets(
    net: Engine, monitor: DriftMonitor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ask(net, monitor, draw(16))

    def fail(*_: object) -> None:
        raise ValueError("unforeseen")

    monkeypatch.setattr("serve.drift.plan.count_values", fail)
    asyncio.run(net.run(net.model("net"), {"x": draw(16)}))
    monitor.store()
    assert "no longer watched" in caplog.text
    assert list(monitor.read_windows()) == []
    asyncio.run(net.run(net.model("net"), {"x": draw(16)}))


def test_counts_may_go_while_they_are_read(monitor: DriftMonitor) -> None:
    kept: list[SampleCounts] = []

    class Key(tuple[str, str]):
        def __hash__(self) -> int:
            kept.clear()  # as when another thread lets go of the version
            return super().__hash__()

    key, counts = Key(("net", "1")), SampleCounts(rows=3)
    monitor._counts[key] = counts
    kept.append(counts)
    del counts
    assert [counts.rows for counts in monitor.read_counts().values()] == [3]
