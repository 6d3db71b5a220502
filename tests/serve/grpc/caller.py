"""A client of two methods in memory: both answer what they get, one message or many."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from serve.grpc.calls import IncomingCall, read_head
from serve.grpc.framing import Buffer
from serve.grpc.status import StatusCode
from serve.grpc.streams import CallBudget, CallStream, StreamingCall, UnaryCall, Write
from serve.http2.frames import END_HEADERS, END_STREAM, Kind
from serve.http2.hpack import Header, HeaderDecoder, encode_headers
from serve.http2.session import Http2Limits, Http2Session
from tests.serve.http2.client import Client

LIMIT = 2**20
MOST_BYTES = 2 * LIMIT
CALL = ((b":method", b"POST"), (b":path", b"/unary"), (b"content-type", b"application/grpc"))
STREAM = ((b":method", b"POST"), (b":path", b"/stream"), (b"content-type", b"application/grpc"))
FRAME = 2**14


def message(data: bytes, flag: int = 0) -> bytes:
    """The data as a message of a call."""
    return bytes((flag,)) + len(data).to_bytes(4) + data


class Caller(Client):
    """Calls the two methods, whose answers wait for `go`."""

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
