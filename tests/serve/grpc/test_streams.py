"""Calls frame by frame: what a client of any kind may send, and what it is told."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

import pytest

from serve.grpc.calls import IncomingCall, read_head
from serve.grpc.framing import Buffer
from serve.grpc.status import StatusCode
from serve.grpc.streams import MESSAGE_BYTES, CallBudget, CallStream, StreamingCall, UnaryCall, Write
from serve.http2.errors import ErrorCode
from serve.http2.frames import DEFAULT_WINDOW, END_HEADERS, END_STREAM, NUMBER, Kind
from serve.http2.hpack import Header, HeaderDecoder, encode_headers
from serve.http2.session import Http2Limits, Http2Session
from tests.serve.http2.client import Client, on_loop

LIMIT = 2**20
MOST_BYTES = 2 * LIMIT
CALL = ((b":method", b"POST"), (b":path", b"/unary"), (b"content-type", b"application/grpc"))
STREAM = ((b":method", b"POST"), (b":path", b"/stream"), (b"content-type", b"application/grpc"))
FRAME = 2**14


def message(data: bytes, flag: int = 0) -> bytes:
    return bytes((flag,)) + len(data).to_bytes(4) + data


class Caller(Client):
    """A client of two methods, both of which answer what they get; a unary one waits for `go`."""

    def __init__(self, calls: int = 2) -> None:
        self.budget = CallBudget(calls, MOST_BYTES, LIMIT)
        self.calls: dict[int, CallStream] = {}
        self.go = asyncio.Event()
        self.go.set()
        super().__init__(Http2Limits(stall_seconds=20))
        self.begin(window=2**24)
        self.widen(2**24)

    def ask(self, number: int, data: bytes | None, *headers: Header, end: bool = True) -> None:
        """Call with these headers, and send the data as far as the window allows."""
        head = headers if any(name == b":path" for name, _ in headers) else (*CALL, *headers)
        self.frame(Kind.HEADERS, END_HEADERS, number, encode_headers(*head))
        self.send_data(number, data or b"", end)

    def send_data(self, number: int, data: bytes, end: bool = True) -> None:
        for start in range(0, len(data), FRAME):
            self.frame(Kind.DATA, 0, number, data[start : start + FRAME])
        if end:
            self.frame(Kind.DATA, END_STREAM, number, b"")

    async def answered(self, number: int) -> tuple[StatusCode, bytes, str]:
        """The call's status, its messages and its text."""
        for _ in range(1000):
            if not self.calls[number].is_open and self.budget.calls == 0:
                break
            await asyncio.sleep(0.01)
        frames = [frame for frame in self.frames() if frame[2] == number]
        data = b"".join(payload for kind, _, _, payload in frames if kind is Kind.DATA)
        decoder = HeaderDecoder()
        blocks = [decoder.decode(payload) for kind, _, _, payload in frames if kind is Kind.HEADERS]
        fields = dict(blocks[-1])
        return StatusCode(int(fields[b"grpc-status"])), data, fields.get(b"grpc-message", b"").decode()

    def _open(self, session: Http2Session, number: int, headers: tuple[Header, ...]) -> Any:
        head = read_head(headers)
        made: CallStream
        if head.path == "/stream":
            made = StreamingCall(session, number, head, self.budget, self._echo_all)
        else:
            made = UnaryCall(session, number, head, self.budget, self._echo)
        self.calls[number] = made
        return made

    async def _echo(self, data: Buffer, call: IncomingCall) -> bytes:
        await self.go.wait()
        return bytes(data)

    async def _echo_all(self, messages: AsyncIterator[Buffer], call: IncomingCall, write: Write) -> None:
        async for data in messages:
            await self.go.wait()
            await write(bytes(data))


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
