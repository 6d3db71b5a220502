"""One request of a connection, and its answer."""

from asyncio import Future, get_running_loop
from collections import deque
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from serve.http2.errors import ErrorCode
from serve.http2.frames import DEFAULT_WINDOW, pack_window_update

if TYPE_CHECKING:
    from serve.http2.session import Http2Session

# A client slower than this, in either direction, holds memory for too long.
BYTES_PER_SECOND = 500


class Stream:
    """A request that comes in pieces, and its answer; a subclass says what is done with the request."""

    def __init__(self, session: "Http2Session", number: int) -> None:
        """Nothing has come but the request's headers."""
        self.session = session
        self.number = number
        self.window = DEFAULT_WINDOW  # what the client may send
        self.send_window = session.outbox.initial_window
        self.has_ended = False  # the request
        self.is_open = True
        """Whether something can be sent; the session says when not."""
        self.due = inf
        """When the client must have sent what is awaited, by the clock `monotonic`."""
        self.send_due = inf
        """When it must have taken `outgoing`."""
        self.outgoing: deque[memoryview] = deque()
        """What the client does not take yet."""
        self.trailers = b""  # what ends the answer, behind `outgoing`
        self._sent: Future[None] | None = None

    def begin(self) -> None:
        """The request's headers have come."""
        raise NotImplementedError

    def receive(self, data: bytes) -> None:
        """The next piece of the request came."""
        raise NotImplementedError

    def end_request(self) -> None:
        """The request is complete."""
        raise NotImplementedError

    def close(self) -> None:
        """It is answered, or the client has gone: nothing is received or sent any more."""
        raise NotImplementedError

    def time_out(self, now: float) -> None:
        """`due` or `send_due` is over."""
        raise NotImplementedError

    def send(self, head: bytes, data: bytes, trailers: bytes) -> None:
        """Send what is not empty, the first and the last as encoded headers; nothing follows the trailers."""
        if self.is_open and not self.trailers:
            self.session.outbox.send(self, head, data, trailers)

    def allow(self, count: int) -> None:
        """Let the client send so many bytes more."""
        self.window += count
        self.session.write(pack_window_update(self.number, count))

    def expect(self, count: int) -> None:
        """The client has to send so many bytes."""
        self.due = self._limit_time(count)

    def reset(self, code: ErrorCode) -> None:
        """End it without an answer, or without the rest of one."""
        self.session.reset(self, code)

    async def wait_until_sent(self) -> None:
        """Return once the client has taken all data."""
        if self.outgoing:
            self._sent = get_running_loop().create_future()
            await self._sent

    def on_held(self) -> None:
        """The client does not take everything yet."""
        self.send_due = self._limit_time(sum(map(len, self.outgoing)))

    def on_sent(self) -> None:
        """The client has taken everything."""
        self.send_due = inf
        if self._sent is not None and not self._sent.done():
            self._sent.set_result(None)

    def _limit_time(self, count: int) -> float:
        return monotonic() + self.session.limits.stall_seconds + count / BYTES_PER_SECOND
