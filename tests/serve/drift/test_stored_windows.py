import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import orjson
import pytest

from serve.drift import stored_windows, window
from serve.drift.monitor import WINDOWS, DriftMonitor
from serve.drift.options import DriftOptions
from serve.drift.window import Past, SlidingWindow, TimeSlice
from serve.engine import Engine
from tests.serve.drift import files
from tests.serve.drift.files import NET, Watched, ask, draw, open_watched
from tests.serve.drift.test_window import Clock
from tests.waiting import until


@pytest.fixture
def drift_options(tmp_path: Path) -> DriftOptions:
    files.put(tmp_path / "models", NET, draw(500))
    return DriftOptions(requests_per_second=1e9, state_folder=tmp_path / "state")


@contextmanager
def _serve(options: DriftOptions) -> Iterator[Watched]:
    """A server's process; at its end, nothing more is stored than before."""
    assert options.state_folder is not None
    monitor = DriftMonitor(options)
    engine = open_watched(options.state_folder.with_name("models"), monitor)
    yield Watched(engine, monitor)
    monitor.close()
    engine.close()


def _count(options: DriftOptions, rows: int) -> None:
    with _serve(options) as (engine, monitor):
        ask(engine, monitor, draw(rows))
        monitor.store()


def _read_rows(monitor: DriftMonitor) -> int:
    monitor.store()
    [counted] = monitor.read_windows()
    return int(counted.tallies[0, 0])


def _list_stored(options: DriftOptions) -> list[Path]:
    assert options.state_folder is not None
    return sorted((options.state_folder / WINDOWS).glob("*/*.json"))


def test_windows_go_on_after_restarts(drift_options: DriftOptions) -> None:
    for _ in range(3):
        _count(drift_options, 160)
    assert len(_list_stored(drift_options)) == 1
    with _serve(drift_options) as (_, monitor):
        assert _read_rows(monitor) == 480


def test_one_of_several_processes_takes_over_what_an_ended_one_counted(drift_options: DriftOptions) -> None:
    with _serve(drift_options) as ended:
        ask(*ended, draw(160))
        ended.monitor.store()
        with _serve(drift_options) as first, _serve(drift_options) as second:
            assert [_read_rows(each.monitor) for each in (first, second)] == [0, 0]  # it lives
            ended.monitor.close()
            assert sorted(_read_rows(each.monitor) for each in (first, second)) == [0, 160]


def test_a_process_that_is_killed_soon_has_lost_nothing_that_it_took_over(
    drift_options: DriftOptions,
) -> None:
    _count(drift_options, 160)
    for _ in range(2):
        with _serve(drift_options) as (_, monitor):
            until(partial(_has_rows, monitor, 160))
    _count(drift_options, 160)
    with _serve(drift_options) as (_, monitor):
        assert _read_rows(monitor) == 320


def test_what_several_ended_processes_counted_is_kept_at_once(drift_options: DriftOptions) -> None:
    with _serve(drift_options) as first, _serve(drift_options) as second:
        for each in (first, second):
            ask(*each, draw(160))
            each.monitor.store()
    assert len(_list_stored(drift_options)) == 2
    for _ in range(2):
        with _serve(drift_options) as (_, monitor):
            until(partial(_has_rows, monitor, 320))


def test_one_thing_that_cannot_be_read_stops_nothing_else(
    drift_options: DriftOptions, caplog: pytest.LogCaptureFixture
) -> None:
    _count(drift_options, 160)
    [stored] = _list_stored(drift_options)
    stored.unlink()
    stored.mkdir()
    _count(drift_options, 160)
    assert caplog.text.count("cannot be taken over, and is left: Is a directory") == 1
    with _serve(drift_options) as (_, monitor):
        assert _read_rows(monitor) == 160


def _has_rows(monitor: DriftMonitor, rows: int) -> bool:
    [counted] = monitor.read_windows()
    return int(counted.tallies[0, 0]) == rows


def _edit(**changes: object) -> Callable[[bytes], bytes]:
    return lambda content: orjson.dumps({**orjson.loads(content), **changes})


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda content: content[:-9], "unexpected end of data"),
        (lambda _: b"[]", "it is no object"),
        (_edit(digest="0"), "its `digest` is another one than now"),
        (_edit(baseline="0"), "its `baseline`"),
        (_edit(window_seconds=60), "its `window_seconds`"),
        (_edit(slices=[{"age": 0, "tallies": [[1]]}]), "it is damaged"),
        (_edit(slices=[{"age": -1, "tallies": []}]), "it is damaged"),
        (_edit(slices=7), "it is damaged"),
        (_edit(seconds=None), "it is damaged"),
    ],
)
def test_what_is_damaged_or_foreign_is_dropped_and_said_so(
    drift_options: DriftOptions,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[bytes], bytes],
    reason: str,
) -> None:
    _count(drift_options, 16)
    [path] = _list_stored(drift_options)
    path.write_bytes(damage(path.read_bytes()))
    with caplog.at_level(logging.WARNING, "adaptact"), _serve(drift_options) as (_, monitor):
        assert _read_rows(monitor) == 0
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith("model `net` version `1`: what an earlier process counted of its drift is dropped")
    assert reason in line
    assert _list_stored(drift_options) == []


def test_counts_of_another_file_are_dropped(
    drift_options: DriftOptions, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _count(drift_options, 16)
    files.put(tmp_path / "models", NET, draw(500, 1))
    with _serve(drift_options) as (_, monitor):
        assert _read_rows(monitor) == 0
    assert "its `baseline` is another one than now" in caplog.text


def test_what_nobody_takes_over_is_removed_once_it_is_too_old(
    drift_options: DriftOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _count(drift_options, 16)
    (tmp_path / "models" / "net").rename(tmp_path / "models" / "renamed")
    with _serve(drift_options) as (_, monitor):
        monitor.store()
        assert len(_list_stored(drift_options)) == 1
        monkeypatch.setattr(stored_windows, "time", lambda: 1e12)
        monitor.store()
    assert _list_stored(drift_options) == []


def test_a_folder_that_cannot_be_written_stops_nothing(
    drift_options: DriftOptions, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "drift").write_text("a file")
    with _serve(drift_options) as (engine, monitor):
        ask(engine, monitor, draw(16))
        monitor.store()
        [counted] = monitor.read_windows()
        assert counted.tallies[0, 0] == 16
    assert "what is counted of drift is not stored" in caplog.text


def test_what_is_no_folder_of_a_process_is_left(drift_options: DriftOptions, tmp_path: Path) -> None:
    windows = tmp_path / "state" / WINDOWS
    (windows / "foreign" / stored_windows.LOCK).mkdir(parents=True)
    (windows / "file").write_text("")
    for _ in range(2):
        _count(drift_options, 16)
    with _serve(drift_options) as (_, monitor):
        assert _read_rows(monitor) == 32
    assert (windows / "foreign").is_dir()


def test_without_a_state_folder_nothing_is_stored(drift_options: DriftOptions, tmp_path: Path) -> None:
    monitor = DriftMonitor(replace(drift_options, state_folder=None))
    engine: Engine = open_watched(tmp_path / "models", monitor)
    ask(engine, monitor, draw(16))
    monitor.store()
    assert not (tmp_path / "state").exists()
    engine.close()
    monitor.close()


@pytest.mark.parametrize(
    ("later", "boot", "kept"),
    [
        (0.0, "", 3),  # the machine's clock was set back: as if no time had passed
        (-5000.0, "", 3),
        (50.0, "", 2),
        (1e9, "", 0),
        (1e9, "this", 3),  # by the clock that nobody sets no time has passed
    ],
)
def test_time_between_two_processes_counts(
    monkeypatch: pytest.MonkeyPatch, later: float, boot: str, kept: int
) -> None:
    clock = Clock()
    monkeypatch.setattr(window, "read_boot", lambda: boot)
    monkeypatch.setattr(window, "time", lambda: 1e6 + later)
    monkeypatch.setattr(window, "monotonic", lambda: 70.0)
    one = np.ones((1, 1), np.int64)
    past = Past([TimeSlice(age, one) for age in (0.0, 40.0, 80.0)], 90.0, 1e6, 70.0, boot)
    taken = SlidingWindow(1, 1, 120.0, clock)
    taken.absorb(past)
    assert taken.read().sum() == kept
