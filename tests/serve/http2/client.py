"""A client of a connection in memory: it sends frames, and reads those that come back."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from serve.http2.connection import Http2Connection
from serve.http2.errors import ErrorCode
from serve.http2.frames import (
    END_HEADERS,
    END_STREAM,
    HEADER,
    HEADER_BYTES,
    NUMBER,
    PREFACE,
    Kind,
    Setting,
    pack_frame,
    pack_settings,
    pack_window_update,
)
from serve.http2.hpack import HeaderDecoder, encode_headers
from serve.http2.session import Http2Limits, Http2Session
from serve.http2.stream import Stream

BLOCK = encode_headers((b":method", b"POST"), (b":path", b"/echo"))
HEAD, TRAILERS = encode_headers((b":status", b"200")), encode_headers((b"end", b"1"))


class Echo(Stream):
    """Answers what it gets, once it has it all."""

    def __init__(self, session: Http2Session, number: int) -> None:
        super().__init__(session, number)
        self.events: list[str] = []
        self.got = b""

    def begin(self) -> None:
        self.events.append("begin")

    def receive(self, data: bytes) -> None:
        self.got += data

    def end_request(self) -> None:
        self.events.append("end")
        self.send(HEAD, self.got, TRAILERS)

    def close(self) -> None:
        self.events.append("close")

    def time_out(self, now: float) -> None:
        self.events.append("time out")
        self.reset(ErrorCode.CANCEL)


class FakeTransport(asyncio.Transport):
    """Keeps what is written; `is_reading` as the connection wants it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_read, self.is_closed = True, False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.is_closed, "uvloop raises an error"
        self.written += data

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1)

    def get_write_buffer_size(self) -> int:
        return len(self.written)

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = True


class Client:
    """A connection to echoes."""

    def __init__(self, limits: Http2Limits | None = None, connections: set[Http2Connection] | None = None):
        self.streams: dict[int, Echo] = {}
        self.transport = FakeTransport()
        self.connection = Http2Connection(
            self._open, limits or Http2Limits(), set() if connections is None else connections
        )
        self.connection.connection_made(self.transport)

    def begin(self, window: int | None = None) -> None:
        """Send the preface and the settings, and forget the answers."""
        settings = {} if window is None else {Setting.INITIAL_WINDOW_SIZE: window}
        self.send(PREFACE + pack_settings(settings))
        self.frames()

    def send(self, data: bytes) -> None:
        self.connection.data_received(data)

    def frame(self, kind: int, flags: int = 0, number: int = 0, payload: bytes = b"") -> None:
        self.send(pack_frame(kind, flags, number, payload))

    def request(self, number: int, data: bytes | None = b"", end: bool = True) -> Echo:
        self.frame(Kind.HEADERS, END_HEADERS | (END_STREAM if data is None else 0), number, BLOCK)
        if data is not None:
            self.frame(Kind.DATA, END_STREAM if end else 0, number, data)
        return self.streams[number]

    def widen(self, count: int, number: int = 0) -> None:
        self.send(pack_window_update(number, count))

    def frames(self) -> list[tuple[Kind, int, int, bytes]]:
        """What has come since the last time."""
        self.connection._session.outbox.flush()
        data, self.transport.written = self.transport.written, b""
        found = []
        while data:
            high, low, kind, flags, number = HEADER.unpack_from(data)
            end = HEADER_BYTES + (high << 8 | low)
            found.append((Kind(kind), flags, number, data[HEADER_BYTES:end]))
            data = data[end:]
        return found

    def answer(self, number: int) -> tuple[bytes, bool]:
        """The stream's data among the new frames, and whether it has ended."""
        mine = [frame for frame in self.frames() if frame[2] == number]
        data = b"".join(payload for kind, _, _, payload in mine if kind is Kind.DATA)
        return data, any(flags & END_STREAM for kind, flags, _, _ in mine if kind is not Kind.PING)

    def error(self) -> ErrorCode:
        """The code with which the connection has just ended."""
        assert self.transport.is_closed
        kind, _, _, payload = self.frames()[-1]
        assert kind is Kind.GOAWAY
        return ErrorCode(NUMBER.unpack_from(payload, 4)[0])

    def _open(self, session: Http2Session, number: int, headers: Any) -> Echo:
        assert headers == HeaderDecoder().decode(BLOCK)
        self.streams[number] = Echo(session, number)
        return self.streams[number]


def on_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """The test, on an event loop."""

    def run() -> None:
        asyncio.run(asyncio.wait_for(test(), 60))

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run
