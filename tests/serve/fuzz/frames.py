"""Frames that a client of any kind may send, made of any bytes, and what the server may spend on them."""

import asyncio
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from gzip import compress
from time import monotonic
from types import FrameType
from typing import Any

from serve.http2.frames import (
    DEFAULT_FRAME,
    END_HEADERS,
    END_STREAM,
    HIGHEST_NUMBER,
    SETTING,
    Kind,
    pack_frame,
)
from serve.http2.hpack import encode_headers
from tests.serve.grpc.caller import CALL, MOST_BYTES, STREAM, Caller, message

MOST_SENT = 2**15
CALLS = 16
# What a connection may cost beside what it sends: calls of Python's functions, bytes sent, and bytes held.
FREE_CALLS, FREE_SENT, FREE_HELD = 20_000, 2_000, 2**22
CALLS_A_BYTE, SENT_A_BYTE, HELD_A_BYTE = 8, 20, 100

PACKED = (b"grpc-encoding", b"gzip")
HEADS = [
    encode_headers(*head)
    for head in (
        CALL,
        STREAM,
        (*CALL, PACKED),
        (*STREAM, PACKED),
        (*CALL, (b"grpc-timeout", b"1S")),
        CALL[:2],
    )
]
# Blocks that repeat: a large header of the table, changes of the table's size, and empty headers.
HEADERS = b"\x40\x01a\x7f\x9f\x01" + bytes(286)
BLOCKS = (HEADERS + b"\xbe" * 500, b"\x20" * 2000, b"\x00" * 3 * 300, HEADERS * 10 + b"\xc0" * 100)
TIMES = (*(1,) * 26, 2, 3, 64, 65, 300, 2000)
# What goes on with a stream, mostly a new one: the rest of its headers, and its message.
WITH_HEAD = (Kind.CONTINUATION, 16)
NUMBERS = (0, 1, 2, 3, HIGHEST_NUMBER)
RARE = 240
# Of most kinds' payloads; a frame of another length ends the connection.
LENGTHS = {Kind.RST_STREAM: 4, Kind.SETTINGS: 6, Kind.PING: 8, Kind.WINDOW_UPDATE: 4}
VALUES = (0, 1, DEFAULT_FRAME, HIGHEST_NUMBER)


@dataclass
class Script:
    """What bytes make a client do, a step for every few bytes."""

    data: bytes
    place: int = 0
    newest: int = field(default=1, init=False)

    def take(self) -> int:
        """The next byte; 0 behind the end."""
        self.place += 1
        return self.data[self.place - 1] if self.place <= len(self.data) else 0

    def steps(self) -> Iterator[bytes | Callable[[Caller], None]]:
        """What is sent, or what else happens to the connection; it begins with a stream."""
        yield pack_frame(Kind.HEADERS, END_HEADERS, self.newest, HEADS[self.take() % len(HEADS)])
        while self.place < len(self.data):
            act = ACTS[self.take() % len(ACTS)]
            if not isinstance(act, int):
                yield act
                continue
            flags, number, times, size = (self.take() for _ in range(4))
            payload = bytes(self.take() for _ in range(size & 7)) * (1 << (size >> 3 & 15))
            kind, payload = _make_payload(act, size, payload[: DEFAULT_FRAME + (number >= RARE)])
            if kind == Kind.SETTINGS:
                flags = flags >= RARE
            elif act != kind:
                flags = END_HEADERS | flags & END_STREAM
            for _ in range(TIMES[times % len(TIMES)]):
                if kind is None:
                    yield payload
                elif act in WITH_HEAD and number < RARE:
                    yield self._pack_head(act, number) + pack_frame(kind, flags, self.newest, payload)
                else:
                    yield pack_frame(kind, flags, self._choose(kind, number), payload)

    def _pack_head(self, act: int, number: int) -> bytes:
        """The beginning of a new stream: its headers, without their end where they are to be continued."""
        self.newest += 2
        flags = 0 if act == Kind.CONTINUATION else END_HEADERS
        return pack_frame(Kind.HEADERS, flags, self.newest, HEADS[number % len(HEADS)])

    def _choose(self, kind: int, number: int) -> int:
        """A stream's number: a new one for headers, else of one of the newest, and rarely any."""
        if number >= RARE:
            return NUMBERS[number % len(NUMBERS)]
        if kind == Kind.HEADERS:
            self.newest += 2
            return self.newest
        is_whole = kind in (Kind.SETTINGS, Kind.PING, Kind.WINDOW_UPDATE) and number % 2
        return 0 if is_whole else max(1, self.newest - 2 * (number % 4))


def _make_payload(act: int, size: int, payload: bytes) -> tuple[int | None, bytes]:
    """The frame's kind, None for bytes that are no frame, and its payload."""
    if act in list(Kind):
        length = LENGTHS.get(Kind(act))
        return act, payload if length is None or size >= RARE else payload[:length].rjust(length, b"\1")
    made: dict[int, tuple[int, bytes]] = {
        10: (Kind.HEADERS, HEADS[size % len(HEADS)]),
        11: (Kind.DATA, message(payload[:1000], size % 8 == 1)),
        16: (Kind.DATA, message(payload[:1000])),
        12: (Kind.DATA, message(compress(payload[:100]), 1)),
        13: (Kind.SETTINGS, SETTING.pack(4 + size % 3, VALUES[size >> 6])),
        14: (Kind.HEADERS, BLOCKS[size % len(BLOCKS)]),
    }
    return made.get(act, (None, payload))


def _pause(caller: Caller) -> None:
    caller.connection.pause_writing()


def _resume(caller: Caller) -> None:
    caller.connection.resume_writing()


def _wait(caller: Caller) -> None:
    caller.connection.check(monotonic() + 21)


def _leave(caller: Caller) -> None:
    caller.connection.leave(monotonic())


ACTS = (*range(10), *(10, 11, 16, 16) * 2, *(8, 12, 13) * 3, 3, 14, 15, _pause, _resume, _wait, _leave)


# A call of one message, one of many, and one behind settings.
ONE = b"\x0b\x01\x01\x00\x04abcd"
GOOD = (
    b"\x00" + ONE,
    b"\x01" + b"\x0b\x00\x01\x03\x03abc" * 3 + b"\x0b\x01\x01\x00\x00",
    b"\x00" + bytes((ACTS.index(13), 0, 1, 0, 130, 0, 0)) + ONE,
)


@dataclass
class Spending:
    """What a connection has cost so far."""

    got: int = 0
    sent: int = 0
    calls: int = 0

    def count(self, frame: FrameType, event: str, argument: object) -> None:
        """Count a call of a function; to be given to `sys.setprofile`."""
        self.calls += event == "call"
        assert self.calls <= FREE_CALLS + CALLS_A_BYTE * self.got

    def check(self) -> None:
        """Fail where it is more than the client's bytes may cost."""
        held = tracemalloc.get_traced_memory()[1]
        assert self.sent <= FREE_SENT + SENT_A_BYTE * self.got
        assert held <= FREE_HELD + HELD_A_BYTE * self.got


def play_frames(data: bytes) -> None:
    """Let a client do what the bytes say; fails where the server does what it should not."""
    spending = Spending()
    before = sys.getprofile()
    tracemalloc.start()
    try:
        asyncio.run(_play(data, spending))
        spending.check()
    finally:
        tracemalloc.stop()
        sys.setprofile(before)


async def _play(data: bytes, spending: Spending) -> None:
    errors: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    caller = Caller(CALLS)
    sys.setprofile(spending.count)
    for step in Script(data).steps():
        if isinstance(step, bytes):
            spending.got += len(step)
            caller.connection.data_received(step)
        else:
            step(caller)
        await _settle(caller, spending)
        if caller.transport.is_closed or spending.got > MOST_SENT:
            break
    sys.setprofile(None)
    caller.connection.connection_lost(None)
    for _ in range(20):
        await asyncio.sleep(0)
    assert (caller.budget.calls, caller.budget.held_bytes) == (0, 0)
    assert not any(call.is_open for call in caller.calls.values())
    assert errors == []


async def _settle(caller: Caller, spending: Spending) -> None:
    """Let the server read what has come; a client that the server does not read sends nothing."""
    await asyncio.sleep(0)
    for _ in range(MOST_SENT):
        spending.sent += len(caller.transport.written)
        caller.transport.written = b""
        assert 0 <= caller.budget.held_bytes <= MOST_BYTES
        if caller.transport.is_read or caller.transport.is_closed:
            break
        if caller.connection._is_paused:
            caller.connection.resume_writing()
        await asyncio.sleep(0)
