import asyncio
from pathlib import Path

import orjson
import pytest

from serve.engine import Engine
from serve.rest.access import right_for
from serve.rest.app import create_app
from serve.settings import Settings
from serve.shared import live_history
from serve.shared.channel import Json
from serve.shared.live import LiveReader, subtract
from serve.shared.live_history import LARGEST, SECONDS, LiveHistory, Note, Notes
from serve.shared.worker_group import WorkerGroup
from tests.serve.in_process import Client
from tests.serve.shared.pair import Pair

NOW = 1_000_000


class _Clock:
    def __init__(self) -> None:
        self.moment = NOW

    def __call__(self) -> float:
        return float(SECONDS * self.moment)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    made = _Clock()
    monkeypatch.setattr(live_history, "time", made)
    return made


@pytest.fixture
def pair(engine: Engine) -> tuple[LiveHistory, LiveHistory]:
    """Two workers; the first one asks both."""
    other = WorkerGroup()
    second = LiveHistory(LiveReader(engine, other), other)
    group = Pair(other)
    return LiveHistory(LiveReader(engine, group), group), second


def _count(engine: Engine, requests: int) -> None:
    for _ in range(requests):
        engine.model("double", "10").metrics.count_request(200)


def _read(history: LiveHistory, after: int = 0, most: int = 720) -> Json:
    return orjson.loads(asyncio.run(history.read(after, most)))


def test_workers_are_added_up_by_moment(
    engine: Engine, pair: tuple[LiveHistory, LiveHistory], clock: _Clock
) -> None:
    async def note() -> None:
        for history in pair:
            await history.note()
        clock.moment += 1
        _count(engine, 3)
        for history in pair:
            await history.note()

    asyncio.run(note())
    page = _read(pair[0])
    assert [entry["at"] for entry in page["entries"]] == [1000 * SECONDS * NOW, 1000 * SECONDS * (NOW + 1)]
    [model] = page["entries"][1]["models"]  # the others did nothing
    assert (model["model"], model["version"], model["requests"]) == ("double", "10", 6)
    assert page["more"] is False


def test_moments_that_a_worker_does_not_know_are_left_out(
    pair: tuple[LiveHistory, LiveHistory], clock: _Clock
) -> None:
    asyncio.run(pair[0].note())
    assert _read(pair[0])["entries"] == []
    asyncio.run(pair[1].note())
    assert len(_read(pair[0])["entries"]) == 1


def test_pages_follow_each_other(pair: tuple[LiveHistory, LiveHistory], clock: _Clock) -> None:
    async def note() -> None:
        for _ in range(5):
            clock.moment += 1
            for history in pair:
                await history.note()

    asyncio.run(note())
    after, found = 0, []
    while True:
        page = _read(pair[0], after, 2)
        found += [entry["at"] for entry in page["entries"]]
        if not page["more"]:
            break
        after = found[-1]
    assert found == [1000 * SECONDS * (NOW + place) for place in range(1, 6)]


def test_what_a_worker_knows_that_began_later_is_found_behind_full_pages(
    pair: tuple[LiveHistory, LiveHistory], clock: _Clock
) -> None:
    async def note() -> None:
        for place in range(6):
            clock.moment += 1
            for history in pair if place >= 4 else pair[:1]:
                await history.note()

    asyncio.run(note())
    page = _read(pair[0], 0, 2)
    assert [entry["at"] for entry in page["entries"]] == [1000 * SECONDS * (NOW + place) for place in (5, 6)]
    assert page["more"] is False


def test_notes_are_of_an_hour_and_bounded() -> None:
    notes = Notes()
    for moment in range(2000):
        notes.add(Note(moment, b"12345"))
    assert [note.moment for note in notes.list_after(0, 9999)] == list(range(1280, 2000))
    for moment in range(2000, 2010):
        notes.add(Note(moment, bytes(LARGEST // 4)))
    assert notes.size <= LARGEST
    notes.add(Note(2010, bytes(2 * LARGEST)))
    assert [note.moment for note in notes.list_after(0, 9999)] == [2010]


def test_a_clock_that_is_set_leaves_no_moment_twice_or_in_the_future() -> None:
    notes = Notes()
    for moment in (10, 11, 12, 5, 6, 100_000, 100_001):
        notes.add(Note(moment, b"{}"))
        assert notes.list_after(moment, 9) == []
    assert [note.moment for note in notes.list_after(0, 9)] == [100_000, 100_001]
    assert notes.size == 4


def test_counts_that_begin_anew_are_never_negative() -> None:
    record = ["m", "1", {"200": 5}, 5, 5, 0, 0, [5], 1.0, [5], {}]
    before = {"versions": [record], "variants": [], "rejected": {"queue_full": 3}, "processor": 9.0}
    after = {**before, "versions": [["m", "1", {"200": 1}, 1, 1, 0, 1, [1], 0.1, [1], {}]], "memory": 1}
    done = subtract({**after, "rejected": {"queue_full": 1}, "processor": 1.0}, before)
    [[_, _, codes, rows, runs, _, _, latency, total, *_]] = done["versions"]
    assert (codes, rows, runs, latency, total, done["rejected"]) == ({}, 0, 0, [], 0.0, {})
    assert done["processor"] == 0.0


def test_it_notes_by_itself_until_it_is_stopped(
    pair: tuple[LiveHistory, LiveHistory], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_history, "SECONDS", 0.01)
    history = pair[0]

    async def run() -> None:
        noted = asyncio.Event()

        async def note() -> None:
            noted.set()

        monkeypatch.setattr(history, "note", note)
        await history.start()
        await asyncio.wait_for(noted.wait(), 30)
        await history.stop(0)

    asyncio.run(run())


def test_the_route_is_for_whom_the_stream_is_for(engine: Engine, tmp_path: Path) -> None:
    path = "/adaptact/v1/live/history"
    assert right_for("GET", path) == right_for("GET", "/adaptact/v1/live") == "metrics"
    client = Client(create_app(engine, Settings(models=tmp_path)))
    assert client.get(path).json()["entries"] == []
    assert client.get(f"{path}?limit=721").status_code == client.get(f"{path}?after=-1").status_code == 400
