"""What the frames of a connection do: to its streams, and to what may be sent."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from serve.http2.errors import ErrorCode, FloodError, FlowControlError, FrameSizeError, Http2Error
from serve.http2.frames import (
    ACK,
    DEFAULT_FRAME,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    HIGHEST_NUMBER,
    LARGEST_FRAME,
    NUMBER,
    PADDED,
    PRIORITY,
    SETTING,
    Kind,
    Setting,
    pack_frame,
    pack_goaway,
    pack_reset,
    pack_settings,
    pack_window_update,
)
from serve.http2.hpack import Header, HeaderDecoder
from serve.http2.outbox import Outbox
from serve.http2.stream import Stream

# The streams' windows bound what comes; the connection's own is widened again after so many bytes.
CREDIT_BYTES = 2**28
# Settings that a connection may change until its next answer: each may concern every stream.
MOST_SETTINGS = 64
PRIORITY_BYTES, PING_BYTES = 5, 8
LEAVING = b"adaptact"  # the ping whose answer shows that the client knows of the end


@dataclass(frozen=True, slots=True)
class Http2Limits:
    """What a client may have open and send, and how long it may stall or be silent."""

    streams: int = 2048
    header_bytes: int = 2**15
    """Of one request, compressed."""
    stall_seconds: float = 20.0
    silent_seconds: float = 60.0
    """After so long without a frame the client gets a ping, and `stall_seconds` to answer it."""


OpenStream: TypeAlias = Callable[["Http2Session", int, tuple[Header, ...]], Stream]


class Http2Session:
    """The streams of a connection."""

    def __init__(self, transport: asyncio.Transport, open_stream: OpenStream, limits: Http2Limits) -> None:
        """Send the settings; `open_stream` makes the stream of each request."""
        self.limits = limits
        self.peer: object = transport.get_extra_info("peername")
        """The client's address, as sockets have it."""
        self.outbox = Outbox(transport, self._on_answered)
        self._open_stream = open_stream
        self._streams: dict[int, Stream] = {}
        self._decoder = HeaderDecoder()
        self._last, self._highest = 0, HIGHEST_NUMBER  # streams' numbers: of the newest, and of the last
        self._block: tuple[int, int, bytearray] | None = None  # headers that are not complete
        self._received = 0  # since the connection's window was widened
        self._settings_left = MOST_SETTINGS
        settings = {
            Setting.MAX_CONCURRENT_STREAMS: limits.streams,
            Setting.MAX_HEADER_LIST_SIZE: limits.header_bytes,
        }
        self.write(pack_settings(settings) + pack_window_update(0, HIGHEST_NUMBER - DEFAULT_WINDOW))

    @property
    def is_in_headers(self) -> bool:
        """Whether headers have begun and are not complete."""
        return self._block is not None

    def receive(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        """Do what the frame says; raises `Http2Error`."""
        if self._block is not None and kind != Kind.CONTINUATION:
            raise Http2Error("a block of headers is interrupted")
        if kind in _HANDLERS:
            _HANDLERS[kind](self, flags, number, payload)

    def write(self, data: bytes) -> None:
        """Send frames that have no window."""
        self.outbox.write(data)

    def reset(self, stream: Stream, code: ErrorCode) -> None:
        """End the stream without an answer, or without the rest of one."""
        if stream.is_open:
            self.write(pack_reset(stream.number, code))
            self._close(stream)

    @property
    def is_idle(self) -> bool:
        """Whether there is no request that is not answered."""
        return not self._streams

    def leave(self) -> None:
        """Let the client send its further requests elsewhere, and close once the others are answered."""
        # Requests may be under way, so the last one is named only when the client has answered.
        self.write(pack_goaway(HIGHEST_NUMBER, ErrorCode.NO_ERROR))
        self.write(pack_frame(Kind.PING, 0, 0, LEAVING))

    def end(self) -> None:
        """Take no further requests, and close once the others are answered."""
        self._highest = self._last
        self.write(pack_goaway(self._last, ErrorCode.NO_ERROR))
        self._close_if_over()

    def fail(self, error: Http2Error) -> None:
        """Tell the client why the connection ends, and close it."""
        self.write(pack_goaway(self._last, error.code, str(error)))
        self.outbox.close()

    def cancel(self) -> None:
        """The client has gone."""
        for stream in list(self._streams.values()):
            self._close(stream)

    def check(self, now: float) -> None:
        """End the streams that have waited for the client for too long."""
        for stream in list(self._streams.values()):
            if now > min(stream.due, stream.send_due):
                stream.time_out(now)

    def _find(self, number: int) -> Stream | None:
        """The stream, None for one that is over; raises `Http2Error` for one that has not begun."""
        if number > self._last or not number % 2:
            raise Http2Error(f"the stream `{number}` has not begun")
        return self._streams.get(number)

    def _on_data(self, flags: int, number: int, payload: bytes) -> None:
        self._received += len(payload)
        if self._received > CREDIT_BYTES:
            self.write(pack_window_update(0, self._received))
            self._received = 0
        stream = self._find(number)
        if stream is None:
            return
        if stream.has_ended:
            raise Http2Error(f"the stream `{number}` has data behind its end")
        stream.window -= len(payload)
        if stream.window < 0:
            raise FlowControlError(f"the stream `{number}` has sent more than its window")
        data = _strip_padding(payload) if flags & PADDED else payload
        stream.has_ended = bool(flags & END_STREAM)
        if data:
            stream.receive(data)
        if stream.has_ended and stream.is_open:
            stream.end_request()

    def _on_headers(self, flags: int, number: int, payload: bytes) -> None:
        data = _strip_padding(payload) if flags & PADDED else payload
        if flags & PRIORITY:
            if len(data) < PRIORITY_BYTES:
                raise FrameSizeError("headers end before their priority")
            data = data[PRIORITY_BYTES:]
        if flags & END_HEADERS:
            self._on_block(flags, number, data)
        else:
            self._block = number, flags, bytearray(data)

    def _on_continuation(self, flags: int, number: int, payload: bytes) -> None:
        if self._block is None or self._block[0] != number:
            raise Http2Error("headers are continued that have not begun")
        _, first_flags, block = self._block
        block += payload
        if len(block) > self.limits.header_bytes:
            raise FloodError(f"headers take more than `{self.limits.header_bytes}` bytes")
        if flags & END_HEADERS:
            self._block = None
            self._on_block(first_flags, number, bytes(block))

    def _on_block(self, flags: int, number: int, block: bytes) -> None:
        headers = self._decoder.decode(block)
        if number <= self._last:
            return self._on_trailers(flags, number)
        if not number % 2:
            raise Http2Error(f"a client's stream has the number `{number}`")
        self._last = number
        if number > self._highest:
            return None
        if len(self._streams) >= self.limits.streams:
            return self.write(pack_reset(number, ErrorCode.REFUSED_STREAM))
        stream = self._streams[number] = self._open_stream(self, number, headers)
        stream.has_ended = bool(flags & END_STREAM)
        stream.begin()
        if stream.has_ended and stream.is_open:
            stream.end_request()
        return None

    def _on_trailers(self, flags: int, number: int) -> None:
        stream = self._find(number)
        if stream is None:
            return
        if stream.has_ended or not flags & END_STREAM:
            raise Http2Error(f"the stream `{number}` has headers again")
        stream.has_ended = True
        stream.end_request()

    def _on_reset(self, flags: int, number: int, payload: bytes) -> None:
        _check_length(payload, NUMBER.size)
        stream = self._find(number)
        if stream is not None:
            self._close(stream)

    def _on_settings(self, flags: int, number: int, payload: bytes) -> None:
        if flags & ACK:
            return _check_length(payload, 0)
        if len(payload) % SETTING.size:
            raise FrameSizeError("settings break off")
        self._settings_left -= max(1, len(payload) // SETTING.size)
        if self._settings_left < 0:
            raise FloodError(f"the client changes more than `{MOST_SETTINGS}` settings between two answers")
        for setting, value in SETTING.iter_unpack(payload):
            self._set(setting, value)
        return self.write(pack_frame(Kind.SETTINGS, ACK, 0, b""))

    def _set(self, setting: int, value: int) -> None:
        if setting == Setting.INITIAL_WINDOW_SIZE:
            if value > HIGHEST_NUMBER:
                raise FlowControlError("the streams' window is larger than the protocol allows")
            change = value - self.outbox.initial_window
            self.outbox.initial_window = value
            for stream in list(self._streams.values()):
                self.outbox.widen(change, stream)
        elif setting == Setting.MAX_FRAME_SIZE:
            if not DEFAULT_FRAME <= value <= LARGEST_FRAME:
                raise Http2Error(f"frames are to have at most `{value}` bytes, which the protocol forbids")
            self.outbox.largest_frame = value

    def _on_ping(self, flags: int, number: int, payload: bytes) -> None:
        _check_length(payload, PING_BYTES)
        if not flags & ACK:
            self.write(pack_frame(Kind.PING, ACK, 0, payload))
        elif payload == LEAVING:
            self.end()

    def _on_window_update(self, flags: int, number: int, payload: bytes) -> None:
        _check_length(payload, NUMBER.size)
        (count,) = NUMBER.unpack(payload)
        count &= HIGHEST_NUMBER
        if count == 0:
            raise Http2Error("a window is widened by nothing")
        if number == 0:
            self.outbox.widen(count)
        elif (stream := self._find(number)) is not None:
            self.outbox.widen(count, stream)

    def _on_answered(self, stream: Stream) -> None:
        self._settings_left = MOST_SETTINGS
        if not stream.has_ended:
            self.write(pack_reset(stream.number, ErrorCode.NO_ERROR))
        self._close(stream)

    def _close(self, stream: Stream) -> None:
        del self._streams[stream.number]
        stream.is_open = False
        self.outbox.discard(stream)
        stream.close()
        self._close_if_over()

    def _close_if_over(self) -> None:
        if self._highest < HIGHEST_NUMBER and not self._streams:
            self.outbox.close()


_HANDLERS: Mapping[int, Callable[[Http2Session, int, int, bytes], None]] = {
    Kind.DATA: Http2Session._on_data,
    Kind.HEADERS: Http2Session._on_headers,
    Kind.RST_STREAM: Http2Session._on_reset,
    Kind.SETTINGS: Http2Session._on_settings,
    Kind.PING: Http2Session._on_ping,
    Kind.WINDOW_UPDATE: Http2Session._on_window_update,
    Kind.CONTINUATION: Http2Session._on_continuation,
}


def _strip_padding(payload: bytes) -> bytes:
    end = len(payload) - payload[0] if payload else 0
    if end < 1:
        raise Http2Error("a frame is padded beyond its length")
    return payload[1:end]


def _check_length(payload: bytes, length: int) -> None:
    if len(payload) != length:
        raise FrameSizeError(f"a frame has `{len(payload)}` bytes, expected `{length}`")
