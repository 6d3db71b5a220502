"""The web server's bounds: on what a connection sends, how long it takes, and on all of them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal, TypeAlias

import orjson
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from serve.observe.access_log import REQUEST_ID, SAFE_ID
from serve.rest.connection import CUT, CYCLE, Connection, name_answer

# Slower than any line that is worth serving, and fast enough that nobody keeps a connection for hours.
BYTES_PER_SECOND = 500
Waiting: TypeAlias = Literal["head", "body", "rest", "reader", "next"]
"""For what a connection waits: for a request's head or body, for the rest of a body that is answered already,
for the client to read its answer, or for the next request."""


@dataclass(slots=True)
class _Watch:
    waiting: Waiting
    request: object
    since: float
    moved: int


class StallWatch:
    """What one connection waits for, and since when."""

    def __init__(self, stall_seconds: float, next_seconds: float) -> None:
        """Nothing has been looked at; the next request may be waited for longer than anything else."""
        self._stall_seconds = stall_seconds
        self._next_seconds = next_seconds
        self._watch: _Watch | None = None

    def stalled(
        self, waiting: Waiting | None, request: object, moved: Callable[[], int], now: float
    ) -> Waiting | None:
        """What it has waited for too long; None if it waits for nothing, for something new, or it goes on.

        `moved` counts bytes of the body that came, or of the answer that went.
        """
        watch = self._watch
        if waiting is None:
            self._watch = None
            return None
        if watch is None or watch.waiting != waiting or watch.request is not request:
            self._watch = _Watch(waiting, request, now, moved())
            return None
        if now - watch.since < (self._next_seconds if waiting == "next" else self._stall_seconds):
            return None
        if waiting in ("body", "reader"):
            came, watch.moved = moved() - watch.moved, moved()
            if came >= BYTES_PER_SECOND * (now - watch.since):
                watch.since = now
                return None
        return waiting


# The web server itself would keep any number of headers and trailers, of any length.
HEAD_BYTES = 64 * 2**10
# A header of a few bytes takes some 150 once read.
MOST_HEADERS = 256
# So many connections beyond the limit are told why they are not answered; any other is cut off.
TOLD_CONNECTIONS = 64
# A body up to here does not count among those of all connections: each may have one.
SMALL_BODY_BYTES = 64 * 2**10
JSON = (b"content-type", b"application/json")
TOO_MANY = "the server has as many connections as it takes; come again"
HEAD_TOO_LARGE = (
    f"the headers are larger than the limit of `{HEAD_BYTES}` bytes, or more than `{MOST_HEADERS}`"
)


@dataclass(slots=True)
class Bodies:
    """How many bytes of large bodies there are, sent and not answered yet, of all connections together."""

    limit_bytes: int = 2**30
    count: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """How many connections there may be at once, for how long one may stand still, and what all may send."""

    connections: int = 1000
    stall_seconds: float = 20.0
    bodies: Bodies = field(default_factory=Bodies)


class BoundedHttp(Connection):
    """Refuses what goes beyond the bounds, and answers its own errors in JSON."""

    _counted_bytes = 0  # of the body, among those of all connections
    _last_words: bytes | None = None  # once nothing more is taken

    def __init__(self, *arguments: Any, limits: Limits, **named: Any) -> None:
        """Of uvicorn, but for the limits."""
        super().__init__(*arguments, **named)
        self.headers = []
        self._limits = limits
        self._watch = StallWatch(limits.stall_seconds, self.timeout_keep_alive)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Answer, or say that there are too many, or cut off where even that would be too much."""
        super().connection_made(transport)
        surplus = len(self.connections) - self._limits.connections
        if surplus > TOLD_CONNECTIONS:
            transport.abort()
        elif surplus > 0:
            self.app = _refusing(HTTPStatus.SERVICE_UNAVAILABLE, TOO_MANY)

    def on_headers_complete(self) -> None:
        """From here on the body's own limit counts."""
        # What came at once may have been a whole head, however long, and some of the body too.
        if len(self.headers) > MOST_HEADERS or (
            self._field_bytes > HEAD_BYTES and self._head_size() > HEAD_BYTES
        ):
            self.app = _refusing(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, HEAD_TOO_LARGE)
        super().on_headers_complete()
        if self._in_head:
            return
        self.scope[CYCLE] = self.cycle  # type: ignore[literal-required]  # a server may add keys of its own
        for name, value in self.headers:
            if name == REQUEST_ID and SAFE_ID.fullmatch(value):
                name_answer(self.cycle, value)
        # From here on these are trailers, which the parser does not tell from headers, and nobody reads.
        self.headers = []

    def on_response_complete(self) -> None:
        """Say at last why nothing more is taken, if that is so."""
        if self._counted_bytes:
            self._discount()
        super().on_response_complete()
        if self._last_words and self.cycle.response_complete:
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """Its bodies count no more."""
        super().connection_lost(exc)
        self._discount()

    def look(self, now: float) -> None:
        """End the connection if it has stood still for too long."""
        stalled = self._watch.stalled(self._waiting(), self.cycle, self._moved, now)
        if stalled is None:
            return
        if stalled in ("rest", "reader"):
            self.transport.abort()
        elif self._in_head and not self._field_bytes:
            self.transport.close()  # nothing is asked
        else:
            self.refuse(
                HTTPStatus.REQUEST_TIMEOUT,
                f"the request's {stalled} stalled for `{self._limits.stall_seconds:g}` seconds",
            )

    def refuse(self, status: HTTPStatus, message: str) -> None:
        """Answer so in its turn, to the request whose body it is, if it is one's; and take nothing more."""
        if self._last_words is not None:
            return
        self._last_words = b""
        if not self._in_head:
            self.cycle.keep_alive = False
            self._cut(HTTPException(status, message))
            return
        body = orjson.dumps({"error": message})
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self._last_words = head.encode() + body
        if self.cycle is None or self.cycle.response_complete:
            self._end()

    def _feed(self, piece: bytes | memoryview) -> None:
        if self._last_words is not None:
            return
        super()._feed(piece)
        if self._field_bytes > HEAD_BYTES or len(self.headers) > MOST_HEADERS:
            self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, HEAD_TOO_LARGE)
        elif self._body_bytes > SMALL_BODY_BYTES:
            self._count()

    def _cut(self, error: HTTPException) -> None:
        """Let this error answer the request whose body is not read on."""
        if self.cycle.response_complete:
            self.transport.close()
        self.cycle.scope[CUT] = error  # type: ignore[literal-required]
        self.cycle.message_event.set()

    def _end(self) -> None:
        if self._last_words and not self.transport.is_closing():
            self.transport.write(self._last_words)
            self.transport.close()

    def _count(self) -> None:
        """Count the body among those of all connections from its turn on until it is answered."""
        if self.cycle is not self._answering or self.cycle.response_complete:
            return
        bodies = self._limits.bodies
        bodies.count += self._body_bytes - self._counted_bytes
        self._counted_bytes = self._body_bytes
        if bodies.count > bodies.limit_bytes:
            message = f"all bodies together are more than `{bodies.limit_bytes}` bytes; come again"
            self._cut(HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, message, {"Retry-After": "1"}))

    def _discount(self) -> None:
        self._limits.bodies.count -= self._counted_bytes
        self._counted_bytes = 0

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _waiting(self) -> Waiting | None:
        if self.flow.write_paused or self.transport.is_closing():
            return "reader"
        if self.flow.read_paused or self._held or self._last_words is not None:
            return None  # it is the server that takes its time
        if self._in_head and (self._field_bytes or self.cycle is None):
            return "head"
        if self.cycle.response_complete:
            return "next" if self._in_head else "rest"
        return None if self._in_head else "body"

    def _moved(self) -> int:
        if self._in_head or self.flow.write_paused or self.transport.is_closing():
            return -self.transport.get_write_buffer_size()
        return self._body_bytes


def _refusing(status: HTTPStatus, message: str) -> ASGIApp:
    """An application that answers everything so, and closes the connection."""
    body = orjson.dumps({"error": message})
    headers = [JSON, (b"content-length", b"%d" % len(body)), (b"connection", b"close")]
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers.append((b"retry-after", b"1"))

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return refuse
