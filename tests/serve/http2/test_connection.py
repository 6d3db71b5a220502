"""How long a client may take, and how much it may make the server do at once."""

import asyncio
from time import monotonic

from serve.http2.connection import FRAMES_A_TURN, LEAVE_SECONDS, Http2Connection
from serve.http2.errors import ErrorCode
from serve.http2.frames import ACK, END_HEADERS, HIGHEST_NUMBER, NUMBER, Kind, pack_frame
from serve.http2.session import Http2Limits
from tests.serve.http2.client import BLOCK, Client, on_loop

LIMITS = Http2Limits(stall_seconds=20, silent_seconds=60)


@on_loop
async def test_a_flood_of_frames_is_read_in_turns() -> None:
    client = Client()
    client.begin()
    pings = 5 * FRAMES_A_TURN
    client.send(pack_frame(Kind.PING, 0, 0, bytes(8)) * pings)
    assert len(client.frames()) == FRAMES_A_TURN
    assert not client.transport.is_read
    others = 0
    while not client.transport.is_read:
        await asyncio.sleep(0)
        others += 1
    assert len(client.frames()) == pings - FRAMES_A_TURN
    assert others >= 4


@on_loop
async def test_a_client_that_does_not_read_is_not_read_either() -> None:
    client = Client(LIMITS)
    client.begin(window=2**20)
    client.frames()
    client.connection.pause_writing()
    assert not client.transport.is_read
    stream = client.request(1, b"abc")
    assert client.answer(1) == (b"", False)
    client.connection.resume_writing()
    assert client.transport.is_read
    assert client.answer(1) == (b"abc", True)
    assert stream.events[-1] == "close"


@on_loop
async def test_a_client_that_never_reads_is_cut_off() -> None:
    client = Client(LIMITS)
    client.begin()
    client.connection.pause_writing()
    client.connection.check(monotonic() + 19)
    assert not client.transport.is_closed
    client.connection.check(monotonic() + 21)
    assert client.transport.is_closed


@on_loop
async def test_a_connection_without_a_beginning_is_cut_off() -> None:
    client = Client(LIMITS)
    client.send(b"PRI")
    client.connection.check(monotonic() + 21)
    assert client.transport.is_closed


@on_loop
async def test_headers_that_stall_cut_the_connection_off() -> None:
    client = Client(LIMITS)
    client.begin()
    client.frame(Kind.HEADERS, 0, 1, BLOCK[:3])
    client.connection.check(monotonic() + 19)
    assert not client.transport.is_closed
    client.connection.check(monotonic() + 21)
    assert client.transport.is_closed


@on_loop
async def test_a_silent_client_is_asked_and_then_cut_off() -> None:
    client, now = Client(LIMITS), monotonic()
    client.begin()
    for seconds in (1, 59, 62):
        client.connection.check(now + seconds)
    assert [frame[:2] for frame in client.frames()] == [(Kind.PING, 0)]
    client.connection.check(now + 81)
    assert not client.transport.is_closed
    client.connection.check(now + 83)
    assert client.transport.is_closed


@on_loop
async def test_a_silent_client_that_answers_stays() -> None:
    client, now = Client(LIMITS), monotonic()
    client.begin()
    for round_ in range(5):
        client.connection.check(now + 62 * round_)
        client.connection.check(now + 62 * round_ + 61)
        client.frame(Kind.PING, ACK, 0, bytes(8))
    assert not client.transport.is_closed


@on_loop
async def test_a_stream_whose_answer_is_not_taken_times_out() -> None:
    client = Client(LIMITS)
    client.begin(window=1)
    stream = client.request(1, bytes(5000))
    client.connection.check(monotonic() + 21)
    assert "time out" not in stream.events  # a slow client may take ten seconds for these bytes
    client.connection.check(monotonic() + 31)
    assert stream.events[-2:] == ["time out", "close"]


@on_loop
async def test_a_client_that_goes_away_closes_its_streams() -> None:
    connections: set[Http2Connection] = set()
    client = Client(LIMITS, connections)
    client.begin()
    stream = client.request(1, b"", end=False)
    assert connections == {client.connection}
    client.transport.close()
    stream.session.write(b"an answer that is under way")
    client.connection.connection_lost(None)
    stream.session.outbox.flush()
    assert stream.events == ["begin", "close"]
    assert connections == set()


@on_loop
async def test_a_client_that_does_not_answer_is_not_waited_for() -> None:
    client, now = Client(LIMITS), monotonic()
    client.begin(window=0)
    client.request(1, b"abc")
    client.connection.leave(now)
    client.connection.leave(now + 2 * LEAVE_SECONDS)
    assert not client.transport.is_closed  # its request is not answered yet
    client.widen(3, 1)
    client.connection.leave(now + LEAVE_SECONDS / 2)
    assert not client.transport.is_closed
    client.connection.leave(now + 2 * LEAVE_SECONDS)
    assert client.transport.is_closed
    assert [frame[0] for frame in client.frames()].count(Kind.GOAWAY) == 2


@on_loop
async def test_who_leaves_answers_what_is_under_way() -> None:
    client = Client()
    client.begin()
    first = client.request(1, b"abc", end=False)
    client.connection.leave(monotonic())
    (kind, _, _, payload), (ping, _, _, token) = client.frames()
    assert (kind, ping, NUMBER.unpack_from(payload)[0]) == (Kind.GOAWAY, Kind.PING, HIGHEST_NUMBER)
    client.request(3, b"def")  # it was under way
    assert client.answer(3) == (b"def", True)
    client.frame(Kind.PING, ACK, 0, token)
    assert client.frames() == [(Kind.GOAWAY, 0, 0, NUMBER.pack(3) + NUMBER.pack(ErrorCode.NO_ERROR))]
    client.frame(Kind.HEADERS, END_HEADERS, 5, BLOCK)
    assert 5 not in client.streams
    assert not client.transport.is_closed
    first.end_request()
    assert client.answer(1) == (b"abc", True)
    assert client.transport.is_closed
