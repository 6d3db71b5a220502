"""Calls frame by frame: what a client of any kind may send, and what it is told."""

import asyncio
import gzip
from time import monotonic

import pytest

from serve.grpc.status import StatusCode
from serve.grpc.streams import MESSAGE_BYTES
from serve.http2.errors import ErrorCode
from serve.http2.frames import DEFAULT_WINDOW, END_HEADERS, END_STREAM, NUMBER, Kind, Setting, pack_settings
from serve.http2.hpack import Header, HeaderDecoder, encode_headers
from tests.serve.grpc.caller import CALL, FRAME, LIMIT, MOST_BYTES, STREAM, Caller, message
from tests.serve.http2.client import on_loop


@on_loop
async def test_a_message_is_answered_and_counts_no_more() -> None:
    caller = Caller()
    caller.ask(1, message(b"abc"))
    assert await caller.answered(1) == (StatusCode.OK, message(b"abc"), "")
    assert (caller.budget.calls, caller.budget.held_bytes) == (0, 0)


@on_loop
async def test_a_message_may_come_in_any_pieces() -> None:
    caller = Caller()
    caller.ask(1, None, end=False)
    for byte in message(b"abc"):
        caller.frame(Kind.DATA, 0, 1, bytes((byte,)))
    caller.frame(Kind.DATA, END_STREAM, 1, b"")
    assert await caller.answered(1) == (StatusCode.OK, message(b"abc"), "")


@on_loop
async def test_a_large_message_gets_room_and_holds_it_until_it_is_answered() -> None:
    caller, large = Caller(), bytes(range(256)) * (LIMIT // 256)
    data = message(large)
    caller.go.clear()
    caller.ask(1, data[:DEFAULT_WINDOW], end=False)
    (widened,) = [frame for frame in caller.frames() if frame[0] is Kind.WINDOW_UPDATE]
    assert DEFAULT_WINDOW + NUMBER.unpack(widened[3])[0] >= len(data)
    caller.send_data(1, data[DEFAULT_WINDOW:])
    assert LIMIT - DEFAULT_WINDOW < caller.budget.held_bytes <= LIMIT
    caller.go.set()
    assert await caller.answered(1) == (StatusCode.OK, data, "")
    assert caller.budget.held_bytes == 0


@pytest.mark.parametrize(
    ("headers", "data", "code", "text"),
    [
        ([], message(b"a") * 2, StatusCode.INVALID_ARGUMENT, "more than one message"),
        ([], b"", StatusCode.INVALID_ARGUMENT, "breaks off"),
        ([], message(b"abc")[:-1], StatusCode.INVALID_ARGUMENT, "breaks off"),
        ([], b"\0\0", StatusCode.INVALID_ARGUMENT, "breaks off"),
        ([], message(b"a", 7), StatusCode.INVALID_ARGUMENT, "the flag `7`"),
        ([], message(bytes(LIMIT + 1))[:100], StatusCode.RESOURCE_EXHAUSTED, f"has `{LIMIT + 1}` bytes"),
        ([], b"\0\xff\xff\xff\xff", StatusCode.RESOURCE_EXHAUSTED, "has `4294967295` bytes"),
        ([], message(b"a", 1), StatusCode.INVALID_ARGUMENT, "does not say how"),
        (
            [(b"grpc-encoding", b"gzip")],
            message(b"rubbish", 1),
            StatusCode.INVALID_ARGUMENT,
            "not in the coding",
        ),
        (
            [(b"grpc-encoding", b"gzip")],
            message(gzip.compress(bytes(LIMIT + 1)), 1),
            StatusCode.RESOURCE_EXHAUSTED,
            "grows beyond",
        ),
        ([(b"grpc-encoding", b"br")], message(b"a"), StatusCode.UNIMPLEMENTED, "none of this server's"),
        ([(b"x", bytes(20_000))], message(b"a"), StatusCode.RESOURCE_EXHAUSTED, "more than `16384` bytes"),
    ],
)
def test_a_call_that_cannot_be_is_refused_in_words(
    headers: list[Header], data: bytes, code: StatusCode, text: str
) -> None:
    @on_loop
    async def call() -> None:
        caller = Caller()
        if any(len(value) > FRAME for _, value in headers):
            block = encode_headers(*CALL, *headers)
            caller.frame(Kind.HEADERS, 0, 1, block[:FRAME])
            caller.frame(Kind.CONTINUATION, END_HEADERS, 1, block[FRAME:])
        else:
            caller.ask(1, data, *headers)
        status, _, words = await caller.answered(1)
        assert status is code
        assert text in words
        assert (caller.budget.calls, caller.budget.held_bytes) == (0, 0)
        caller.ask(3, message(b"fine"))
        assert await caller.answered(3) == (StatusCode.OK, message(b"fine"), "")

    call()


@on_loop
async def test_a_request_that_is_no_call_gets_http_s_answer() -> None:
    caller = Caller()
    for number, head in ((1, ((b":method", b"GET"), *CALL[1:])), (3, CALL[:2])):
        caller.frame(Kind.HEADERS, END_HEADERS | END_STREAM, number, encode_headers(*head))
        (kind, flags, _, block) = caller.frames()[0]
        assert (kind, bool(flags & END_STREAM)) == (Kind.HEADERS, True)
        assert HeaderDecoder().decode(block) == ((b":status", b"415"),)


@on_loop
async def test_calls_and_large_messages_are_bounded_together() -> None:
    caller = Caller(calls=3)
    caller.go.clear()
    start = message(bytes(LIMIT))[:10]
    for number in (1, 3):
        caller.ask(number, start, end=False)
    caller.ask(5, start, end=False)
    frames = caller.frames()
    assert any(b"all messages together" in payload for _, _, number, payload in frames if number == 5)
    caller.ask(7, message(b"small"), end=False)
    caller.ask(9, message(b"small"))
    frames = caller.frames()
    assert any(b"there are `3` calls" in payload for _, _, number, payload in frames if number == 9)
    for number in (1, 3, 7):
        caller.frame(Kind.RST_STREAM, 0, number, NUMBER.pack(ErrorCode.CANCEL))
    await asyncio.sleep(0)
    assert (caller.budget.calls, caller.budget.held_bytes) == (0, 0)


@on_loop
async def test_a_call_that_is_given_up_at_once_counts_no_more() -> None:
    caller = Caller()
    for number in range(1, 100, 2):
        caller.ask(number, message(b"abc"), *(STREAM if number % 4 == 1 else CALL))
        caller.frame(Kind.RST_STREAM, 0, number, NUMBER.pack(ErrorCode.CANCEL))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert (caller.budget.calls, caller.budget.held_bytes) == (0, 0)


@on_loop
async def test_a_message_that_stalls_is_refused() -> None:
    caller = Caller()
    caller.ask(1, message(b"abc")[:6], end=False)
    caller.connection.check(monotonic() + 19)
    assert caller.calls[1].is_open
    caller.connection.check(monotonic() + 21)
    status, _, text = await caller.answered(1)
    assert (status, text) == (StatusCode.DEADLINE_EXCEEDED, "the call's message stalled for `20` seconds")


@on_loop
async def test_a_large_message_has_time_by_its_size() -> None:
    caller = Caller()
    caller.ask(1, message(bytes(LIMIT))[:10], end=False)
    caller.connection.check(monotonic() + 2000)
    assert caller.calls[1].is_open
    caller.connection.check(monotonic() + 3000)
    assert not caller.calls[1].is_open


@on_loop
async def test_a_deadline_ends_a_call() -> None:
    caller = Caller()
    caller.go.clear()
    caller.ask(1, message(b"abc"), (b"grpc-timeout", b"5S"))
    caller.connection.check(monotonic() + 4)
    assert caller.calls[1].is_open
    caller.calls[1].call.deadline = monotonic() - 1
    caller.connection.check(monotonic() + 6)
    assert (await caller.answered(1))[0] is StatusCode.DEADLINE_EXCEEDED


@on_loop
async def test_an_answer_that_is_not_taken_ends_its_call_past_its_deadline_too() -> None:
    caller = Caller()
    caller.send(pack_settings({Setting.INITIAL_WINDOW_SIZE: 0}))
    caller.ask(1, message(b"abc"), (b"grpc-timeout", b"5S"))
    for _ in range(5):
        await asyncio.sleep(0)
    due = caller.calls[1].send_due
    caller.connection.check(monotonic() + 6)
    assert caller.calls[1].send_due == due
    caller.connection.check(monotonic() + 21)
    assert not caller.calls[1].is_open
    assert caller.budget.calls == 0


@on_loop
async def test_an_error_is_not_followed_by_success() -> None:
    caller = Caller()
    caller.connection.pause_writing()
    caller.ask(1, message(b"rubbish", 1), *STREAM, (b"grpc-encoding", b"gzip"), end=False)
    while caller.budget.calls and not caller.calls[1].trailers:
        await asyncio.sleep(0.01)
    for _ in range(5):
        await asyncio.sleep(0)
    caller.connection.resume_writing()
    assert (await caller.answered(1))[0] is StatusCode.INVALID_ARGUMENT


@on_loop
async def test_a_stream_answers_each_message_and_may_be_silent() -> None:
    caller = Caller()
    caller.ask(1, b"", *STREAM, end=False)
    caller.connection.check(monotonic() + 1000)
    for text in (b"a", b"b"):
        caller.send_data(1, message(text), end=False)
    caller.frame(Kind.DATA, END_STREAM, 1, b"")
    assert await caller.answered(1) == (StatusCode.OK, message(b"a") + message(b"b"), "")


@on_loop
async def test_a_stream_gets_room_again_as_it_is_read() -> None:
    caller = Caller()
    large = message(bytes(LIMIT))
    caller.ask(1, b"", *STREAM, end=False)
    window, sent = DEFAULT_WINDOW, 0
    data = (message(bytes(40_000)) + large) * 3
    while sent < len(data):
        piece = data[sent : sent + min(window, FRAME)]
        assert piece, "the client gets no room"
        caller.frame(Kind.DATA, 0, 1, piece)
        window, sent = window - len(piece), sent + len(piece)
        for _ in range(5):
            await asyncio.sleep(0)
        window += sum(
            NUMBER.unpack(frame[3])[0] for frame in caller.frames() if frame[:3] == (Kind.WINDOW_UPDATE, 0, 1)
        )
        assert caller.budget.held_bytes <= LIMIT
        caller.widen(2**20, 1)
        caller.widen(2**20)
    caller.frame(Kind.DATA, END_STREAM, 1, b"")
    assert (await caller.answered(1))[0] is StatusCode.OK
    assert caller.budget.held_bytes == 0


@on_loop
async def test_a_stream_that_cannot_be_decompressed_ends() -> None:
    caller = Caller()
    caller.ask(1, message(b"rubbish", 1), *STREAM, (b"grpc-encoding", b"gzip"), end=False)
    status, _, text = await caller.answered(1)
    assert (status, "not in the coding" in text) == (StatusCode.INVALID_ARGUMENT, True)


@on_loop
async def test_a_stream_that_is_refused_ends_its_method() -> None:
    caller = Caller()
    caller.ask(1, message(b"a", 7), *STREAM, end=False)
    status, _, text = await caller.answered(1)
    assert (status, "the flag `7`" in text) == (StatusCode.INVALID_ARGUMENT, True)
    assert caller.budget.calls == 0


@on_loop
async def test_empty_messages_that_wait_take_room_too() -> None:
    caller = Caller()
    caller.go.clear()
    caller.ask(1, b"", *STREAM, end=False)
    caller.send_data(1, message(b"") * 4000, end=False)
    for _ in range(5):
        await asyncio.sleep(0)
    assert [frame for frame in caller.frames() if frame[0] is Kind.WINDOW_UPDATE] == []
    assert caller.budget.held_bytes >= 4000 * MESSAGE_BYTES


@on_loop
async def test_messages_that_wait_are_bounded_in_number() -> None:
    caller = Caller()
    caller.go.clear()
    caller.ask(1, message(b"") * (MOST_BYTES // MESSAGE_BYTES + 2), *STREAM, end=False)
    assert (await caller.answered(1))[0] is StatusCode.RESOURCE_EXHAUSTED
    assert caller.budget.held_bytes == 0
