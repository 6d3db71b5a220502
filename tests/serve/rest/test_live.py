import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.exceptions import HTTPException

from serve.access import reloaded_file
from serve.access.control import Authorizer
from serve.access.keys import format_key
from serve.engine import Engine
from serve.engine.errors import EngineError
from serve.rest import live
from serve.rest.live import LiveStreams, live_routes
from tests.serve.in_process import Client

LIVE = "/adaptact/v1/live?most=1"
PREDICT = "/v1/models/double:predict"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "SECONDS", 0.02)
    monkeypatch.setattr(live, "SLACK_SECONDS", 0.001)


def _read(client: Client) -> dict[str, Any]:
    time.sleep(live.SECONDS)  # else it may be the snapshot that was read before
    answered = client.get(LIVE)
    assert answered.headers["Content-Type"].startswith("text/event-stream")
    assert answered.headers["Cache-Control"] == "no-store"
    event, data = answered.text.rstrip("\n").split("\n")
    assert event == "event: snapshot"
    snapshot: dict[str, Any] = json.loads(data.removeprefix("data: "))
    return snapshot


def test_an_event_says_what_was_done_so_far(fresh: Client, fresh_engine: Engine) -> None:
    before = _read(fresh)
    assert before["workers"] == 1
    assert before["since"] == before["generation"] <= before["at"]
    assert [(each["model"], each["version"]) for each in before["models"]] == [
        ("double", "1"),
        ("double", "2"),
    ]
    for _ in range(3):
        assert fresh.post(PREDICT, {"instances": [[1, 2, 3], [4, 5, 6]]}).status_code == 200
    assert fresh.post(PREDICT, {"instances": []}).status_code == 400
    first, second = _read(fresh)["models"]
    assert (first["requests"], first["latency"], first["batches"], first["runs"]) == (0, [], [], 0)
    assert (second["requests"], second["errors"], second["codes"]) == (4, 1, {"200": 3, "400": 1})
    assert (second["rows"], second["runs"], second["batches"]) == (6, 3, [0, 3])
    assert (second["queue"], second["running"]) == (0, 0)
    assert sum(second["latency"]) == 3
    assert second["latency_total"] > sum(second["stages"].values()) > 0
    assert fresh_engine.count_running() == {}


def test_every_bucket_has_its_bound(fresh: Client) -> None:
    snapshot = _read(fresh)
    for ends in ("latency_ends", "variant_latency_ends", "row_ends"):
        assert snapshot[ends] == sorted(set(snapshot[ends]))
    ratios = [
        high / low for low, high in zip(snapshot["latency_ends"], snapshot["latency_ends"][1:], strict=False)
    ]
    assert max(ratios) < 1.26


def test_a_head_is_answered_without_a_stream(fresh: Client) -> None:
    answered = fresh.request("HEAD", "/adaptact/v1/live")
    assert (answered.status_code, answered.content) == (200, b"")


async def _read_none(after: int, most: int) -> bytes:
    return b"{}"


class _Source:
    """Snapshots that are counted."""

    def __init__(self) -> None:
        self.count = 0
        self.is_ending = False
        self.error: Exception | None = None

    async def read(self) -> bytes:
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        self.count += 1
        return b"%d" % self.count

    def streams(self, workers: int = 1) -> LiveStreams:
        return LiveStreams(self.read, lambda: self.is_ending, workers)


async def _collect(events: AsyncIterator[bytes]) -> list[bytes]:
    return [event async for event in events]


async def _start(streams: LiveStreams) -> AsyncIterator[bytes]:
    events = streams.open(0)
    await anext(events)
    return events


def test_all_streams_share_the_snapshot_of_a_second() -> None:
    source = _Source()

    async def look() -> list[list[bytes]]:
        streams = source.streams()
        return await asyncio.gather(*(_collect(streams.open(4)) for _ in range(20)))

    collected = asyncio.run(look())
    assert all(len(events) == 4 for events in collected)
    assert source.count < 4 * 20 / 2
    assert len({event for events in collected for event in events}) == source.count


def test_nothing_is_read_while_nobody_looks() -> None:
    source = _Source()

    async def look() -> None:
        streams = source.streams()
        await asyncio.sleep(0.06)
        assert source.count == 0
        await _collect(streams.open(1))
        await asyncio.sleep(0.06)

    asyncio.run(look())
    assert source.count == 1


def test_more_streams_than_may_be_are_refused_until_one_ends() -> None:
    source = _Source()

    async def look() -> None:
        streams = source.streams(workers=16)
        first, second = await _start(streams), await _start(streams)
        with pytest.raises(HTTPException, match="as many look on as may") as refused:
            streams.open(0)
        assert refused.value.status_code == 503
        assert refused.value.headers is not None
        assert "Retry-After" in refused.value.headers
        await second.aclose()  # type: ignore[attr-defined]  # it is a generator
        third = await _start(streams)
        for each in (first, third):
            await each.aclose()  # type: ignore[attr-defined]

    asyncio.run(look())


def test_streams_that_come_at_once_are_counted_before_they_begin() -> None:
    source = _Source()

    async def look() -> None:
        streams = source.streams(workers=32)
        first = streams.open(1)
        with pytest.raises(HTTPException, match="as many look on as may"):
            streams.open(1)
        del first  # whose reader went away before it began
        assert len(await _collect(streams.open(1))) == 1
        assert len(await _collect(streams.open(1))) == 1

    asyncio.run(look())


def test_streams_end_with_the_server() -> None:
    source = _Source()

    async def look() -> None:
        events = await _start(source.streams())
        source.is_ending = True
        assert await _collect(events) == []

    asyncio.run(look())


def test_one_that_leaves_takes_no_snapshot_from_the_others() -> None:
    source = _Source()

    async def look() -> None:
        streams = source.streams()
        leaving = asyncio.ensure_future(_collect(streams.open(1)))
        staying = asyncio.ensure_future(_collect(streams.open(1)))
        await asyncio.sleep(0)
        leaving.cancel()
        assert len(await staying) == 1

    asyncio.run(look())


def test_a_stream_ends_where_the_workers_cannot_be_asked() -> None:
    source = _Source()
    source.error = EngineError("the process is gone")
    assert asyncio.run(_collect(source.streams().open(0))) == []


OTHER_KEY = format_key("other", "of-another", frozenset({"metrics"}))


@pytest.mark.parametrize(
    ("after", "count"),
    [
        pytest.param("", 2, id="revoked"),
        pytest.param(format_key("meter", "secret", frozenset({"infer"})), 2, id="without the role"),
        pytest.param(format_key("meter", "exchanged", frozenset({"metrics"})), 2, id="exchanged"),
        pytest.param(format_key("meter", "secret", frozenset({"metrics"})), 6, id="as before"),
    ],
)
def test_a_stream_ends_once_its_key_may_not_look_any_more(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, after: str, count: int
) -> None:
    monkeypatch.setattr(reloaded_file, "LOOK_SECONDS", 0)
    keys = tmp_path / "keys.toml"
    keys.write_text(format_key("meter", "secret", frozenset({"metrics"})))

    class Source(_Source):
        async def read(self) -> bytes:
            if self.count == 1:
                keys.write_text(OTHER_KEY + after)
            return await super().read()

    app = FastAPI()
    app.include_router(live_routes(Source().streams(), _read_none, Authorizer(keys)))
    headers = {"Authorization": "Bearer secret"}
    answered = Client(app).request("GET", "/adaptact/v1/live?most=6", headers=headers)
    assert answered.text.count("event: snapshot") == count
