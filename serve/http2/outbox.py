"""What a connection sends: within the client's windows, and no faster than the client reads."""

import asyncio
from collections.abc import Callable

from serve.http2.errors import FlowControlError
from serve.http2.frames import (
    DEFAULT_FRAME,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    HIGHEST_NUMBER,
    Kind,
    pack_frame,
    pack_header,
)
from serve.http2.stream import Stream

TURN_BYTES = 2**16
"""What a stream sends before it is another's turn; also what is copied rather than written in pieces."""


class Outbox:
    """The answers of a connection's streams."""

    def __init__(self, transport: asyncio.WriteTransport, on_answered: Callable[[Stream], None]) -> None:
        """`on_answered` is called with each stream whose answer is complete."""
        self.initial_window = DEFAULT_WINDOW
        self.largest_frame = DEFAULT_FRAME
        self._window = DEFAULT_WINDOW
        self._is_paused = False
        self._transport = transport
        # Answers of one turn of the event loop leave together: a system call costs more than a small answer.
        self._unwritten: list[bytes | memoryview] = []
        self._unwritten_bytes = 0
        self._on_answered = on_answered
        # The streams that have something to send, and whose own windows allow it.
        self._ready: dict[Stream, None] = {}

    def write(self, *parts: bytes | memoryview) -> None:
        """Send frames, at the latest when the event loop has done what it is doing."""
        if not self._unwritten:
            asyncio.get_running_loop().call_soon(self.flush)
        self._unwritten += parts
        self._unwritten_bytes += sum(map(len, parts))
        if self._unwritten_bytes > TURN_BYTES:
            self.flush()

    def flush(self) -> None:
        """Hand what was written to the transport."""
        parts, size = self._unwritten, self._unwritten_bytes
        self._unwritten, self._unwritten_bytes = [], 0
        if self._transport.is_closing():
            return  # the client has gone meanwhile
        if size > TURN_BYTES:
            self._transport.writelines(parts)
        elif parts:
            self._transport.write(b"".join(parts))

    def close(self) -> None:
        """Send what was written, and close the connection."""
        self.flush()
        self._transport.close()

    def send(self, stream: Stream, head: bytes, data: bytes, trailers: bytes) -> None:
        """Send what is not empty, now or as soon as the client allows."""
        size, number = len(data), stream.number
        parts = [pack_header(Kind.HEADERS, END_HEADERS, number, len(head)), head] if head else []
        is_next = not stream.outgoing and not stream.trailers and not self._is_paused
        if is_next and size <= min(self._window, stream.send_window, self.largest_frame, TURN_BYTES):
            if data:
                self._window -= size
                stream.send_window -= size
                parts += pack_header(Kind.DATA, 0, number, size), data
            if trailers:
                parts += _make_end(number, trailers)
            self.write(*parts)
            if trailers:
                self._on_answered(stream)
            return
        if parts:
            self.write(*parts)
        if data:
            stream.outgoing.append(memoryview(data))
        stream.trailers = trailers
        stream.on_held()
        self._ready[stream] = None
        self._send_ready()

    def discard(self, stream: Stream) -> None:
        """Send nothing more of the stream."""
        self._ready.pop(stream, None)
        stream.outgoing.clear()

    def widen(self, count: int, stream: Stream | None = None) -> None:
        """The client takes so many bytes more, of the stream or in all; raises `FlowControlError`."""
        if stream is None:
            self._window += count
            _check_window(self._window)
        else:
            stream.send_window += count
            _check_window(stream.send_window)
            if stream.outgoing:
                self._ready[stream] = None
        self._send_ready()

    def pause(self) -> None:
        """The client reads more slowly than it is sent."""
        self._is_paused = True

    def resume(self) -> None:
        """The client has read what was sent."""
        self._is_paused = False
        self._send_ready()

    def _send_ready(self) -> None:
        """Let each stream send in turn, as far as the connection allows."""
        while self._ready and not self._is_paused:
            stream = next(iter(self._ready))
            if stream.outgoing and self._window <= 0:
                return
            del self._ready[stream]
            self._send_turn(stream)
            if stream.outgoing and stream.send_window > 0:
                self._ready[stream] = None

    def _send_turn(self, stream: Stream) -> None:
        pieces: list[bytes | memoryview] = []
        left = min(TURN_BYTES, self._window, stream.send_window)
        while stream.outgoing and left > 0:
            data = stream.outgoing.popleft()
            size = min(len(data), left, self.largest_frame)
            pieces += pack_header(Kind.DATA, 0, stream.number, size), data[:size]
            if size < len(data):
                stream.outgoing.appendleft(data[size:])
            left -= size
            self._window -= size
            stream.send_window -= size
        if stream.outgoing:
            return self.write(*pieces)
        if stream.trailers:
            pieces += _make_end(stream.number, stream.trailers)
        self.write(*pieces)
        stream.on_sent()
        if stream.trailers:
            self._on_answered(stream)
        return None


def _make_end(number: int, trailers: bytes) -> tuple[bytes]:
    return (pack_frame(Kind.HEADERS, END_HEADERS | END_STREAM, number, trailers),)


def _check_window(window: int) -> None:
    if window > HIGHEST_NUMBER:
        raise FlowControlError("a window becomes larger than the protocol allows")
