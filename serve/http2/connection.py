"""One client's connection: it is read in turns, and ended where the client stalls."""

import asyncio
from collections.abc import Callable, MutableSet
from math import inf
from time import monotonic

from serve.http2.errors import Http2Error
from serve.http2.frames import Kind, pack_frame
from serve.http2.reader import FrameReader
from serve.http2.session import PING_BYTES, Http2Limits, Http2Session, OpenStream
from serve.http2.stream import BYTES_PER_SECOND

FRAMES_A_TURN = 64  # before it is another connection's turn
LEAVE_SECONDS = 2.0
"""So long a client has to say that it knows of the end."""


def _ignore() -> None:
    """Nobody counts the connections."""


class Http2Connection(asyncio.Protocol):
    """Reads frames and lets the session do what they say."""

    _transport: asyncio.Transport
    _session: Http2Session

    def __init__(
        self,
        open_stream: OpenStream,
        limits: Http2Limits,
        connections: MutableSet["Http2Connection"],
        on_close: Callable[[], None] = _ignore,
    ) -> None:
        """It is one of `connections` while it is open; `on_close` is called when it is no more."""
        self._open_stream = open_stream
        self._limits = limits
        self._connections = connections
        self._on_close = on_close
        self._reader = FrameReader()
        self._is_turn_over = self._is_paused = self._was_heard = self._was_pinged = False
        self._due = self._read_due = self._silent_due = inf
        self._leave_due: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # it is one
        """Begin the session; the client has to begin it too."""
        self._transport = transport
        self._session = Http2Session(transport, self._open_stream, self._limits)
        self._connections.add(self)
        self._due = monotonic() + self._limits.stall_seconds

    def data_received(self, data: bytes) -> None:
        """Read its frames."""
        self._was_heard = True
        self._reader.feed(data)
        if not self._is_turn_over:
            self._read()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel what was not answered."""
        self._connections.discard(self)
        self._session.cancel()
        self._on_close()

    def pause_writing(self) -> None:
        """The client reads more slowly than it is answered: nothing more is read from it either."""
        self._is_paused = True
        seconds = self._transport.get_write_buffer_size() / BYTES_PER_SECOND
        self._read_due = monotonic() + self._limits.stall_seconds + seconds
        self._session.outbox.pause()
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The client has read what was sent."""
        self._is_paused, self._read_due = False, inf
        self._session.outbox.resume()
        self._resume_reading()

    def check(self, now: float) -> None:
        """End what has waited for the client for too long; to be called every second or so."""
        if now > min(self._due, self._read_due):
            return self._transport.abort()
        self._session.check(now)
        if self._was_heard or self._silent_due == inf:
            self._was_heard = self._was_pinged = False
            self._silent_due = now + self._limits.silent_seconds
        elif now > self._silent_due and self._was_pinged:
            self._transport.abort()
        elif now > self._silent_due:
            self._was_pinged = True
            self._silent_due = now + self._limits.stall_seconds
            self._session.write(pack_frame(Kind.PING, 0, 0, bytes(PING_BYTES)))
        return None

    def leave(self, now: float) -> None:
        """Let the client send its further requests elsewhere, and close once the others are answered.

        To be called repeatedly: a client that neither answers nor asks for anything is not waited for.
        """
        if self._leave_due is None:
            self._leave_due = now + LEAVE_SECONDS
            self._session.leave()
        elif now > self._leave_due and self._session.is_idle:
            self._session.end()

    def abort(self) -> None:
        """Close at once; what is not answered is cancelled."""
        self._transport.abort()

    def _read(self) -> None:
        """Read for a turn."""
        try:
            for frame in self._reader.read(FRAMES_A_TURN):
                self._session.receive(*frame)
        except Http2Error as error:
            return self._session.fail(error) if self._reader.has_begun else self._transport.abort()
        if self._reader.has_begun and not self._session.is_in_headers:
            self._due = inf
        elif self._due == inf:
            self._due = monotonic() + self._limits.stall_seconds
        self._is_turn_over = self._reader.has_frame()
        if self._is_turn_over:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._take_turn)
        return None

    def _take_turn(self) -> None:
        if not self._transport.is_closing():
            self._read()
            self._resume_reading()

    def _resume_reading(self) -> None:
        if not self._is_turn_over and not self._is_paused:
            self._transport.resume_reading()
