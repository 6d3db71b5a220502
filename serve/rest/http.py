"""The bounds of connections: of each one's size and time, and of all together."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from serve.access.hosts import AllowedHosts
from serve.observe.access_log import REQUEST_ID, SAFE_ID
from serve.rest.connection import BODY_ERROR
from serve.rest.repeated_heads import RepeatingConnection
from serve.rest.stalls import StallTimer, Waiting
from serve.rest.writing import CYCLE, set_request_id

# uvicorn itself would keep any number of headers and trailers, of any length.
MAX_HEAD_BYTES = 64 * 2**10
# A header of a few bytes takes some 150 once parsed.
MAX_HEADERS = 256
# So many connections beyond the limit get an answer that says why; any further one is cut off.
ANSWERED_SURPLUS = 64
# A body up to here does not count among those of all connections: each connection may have one.
SMALL_BODY_BYTES = 64 * 2**10
HOST = b"host"
NO_SUCH_HOST = "the name in `Host` is not one of `--allowed-hosts`"
JSON = (b"content-type", b"application/json")
TOO_MANY_CONNECTIONS = "the server has as many connections as it takes; come again"
HEAD_TOO_LARGE = (
    f"the headers are larger than the limit of `{MAX_HEAD_BYTES}` bytes, or more than `{MAX_HEADERS}`"
)


@dataclass(slots=True)
class BodyBudget:
    """How many bytes of large bodies all connections hold until they are answered."""

    limit_bytes: int = 2**30
    count: int = 0


@dataclass(slots=True)
class Stop:
    """Whether the server is about to end, and how long idle connections stay open then."""

    linger_seconds: float = 0.0
    has_begun: bool = False


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections there may be at once, how long one may stall, how large all bodies may be.

    And the names under which the server may be addressed; any where `hosts` is None.
    """

    connections: int = 1000
    stall_seconds: float = 20.0
    budget: BodyBudget = field(default_factory=BodyBudget)
    hosts: AllowedHosts | None = None
    stop: Stop = field(default_factory=Stop)


class BoundedHttpProtocol(RepeatingConnection):
    """Refuses what exceeds the bounds, and answers its own errors in JSON."""

    _counted_bytes = 0  # of the body, among those of all connections
    _farewell: bytes | None = None  # the last answer, once no further requests are taken
    _has_ended = False  # only the client's end is still to come

    def __init__(self, *arguments: Any, limits: ConnectionLimits, **named: Any) -> None:
        """As uvicorn's, with limits."""
        super().__init__(*arguments, **named)
        self.headers = []
        self._limits = limits
        self._stall_timer = StallTimer(limits.stall_seconds, self.timeout_keep_alive)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Serve the connection, or refuse it, or cut it off where even refusals would be too many."""
        super().connection_made(transport)
        if self._limits.stop.has_begun:
            self.linger()
        surplus = len(self.connections) - self._limits.connections
        if surplus > ANSWERED_SURPLUS:
            transport.abort()
        elif surplus > 0:
            self.app = _make_refusing_app(HTTPStatus.SERVICE_UNAVAILABLE, TOO_MANY_CONNECTIONS)

    def on_headers_complete(self) -> None:
        """Check the head; from here on the body's own limit counts."""
        request_id, hosts = None, []
        for name, value in self.headers:
            if name == HOST:
                hosts.append(value)
            elif name == REQUEST_ID and SAFE_ID.fullmatch(value):
                request_id = value
        self._check_hosts(hosts)
        # A single piece may have held a whole head, however long, and some of the body.
        if len(self.headers) > MAX_HEADERS or (
            self._field_bytes > MAX_HEAD_BYTES and self._head_size() > MAX_HEAD_BYTES
        ):
            self.app = _make_refusing_app(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, HEAD_TOO_LARGE)
        super().on_headers_complete()
        if self._in_head:
            return
        self.scope[CYCLE] = self.cycle  # type: ignore[literal-required]  # servers may add keys
        if self._limits.stop.has_begun:
            self.cycle.keep_alive = False
        if request_id is not None:
            set_request_id(self.cycle, request_id)
        # From here on these are trailers, which the parser reports as headers, and nobody reads.
        self.headers = []

    def _check_hosts(self, hosts: Sequence[bytes]) -> None:
        """Refuse what RFC 9112 (2022) does, section 3.2, and names that clients may not use."""
        if len(hosts) != 1 and (hosts or self.parser.get_http_version() != "1.0"):
            self.app = _make_refusing_app(
                HTTPStatus.BAD_REQUEST, f"expected one header `Host`, got {len(hosts)}"
            )
        elif self._limits.hosts is not None and not all(map(self._limits.hosts.allow, hosts)):
            self.app = _make_refusing_app(HTTPStatus.MISDIRECTED_REQUEST, NO_SUCH_HOST)

    def on_response_complete(self) -> None:
        """Go on, or send the last answer if no further requests are taken."""
        if self._counted_bytes:
            self._uncount_body()
        super().on_response_complete()
        if self._farewell and self.cycle.response_complete:
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take its body out of the budget."""
        super().connection_lost(exc)
        self._uncount_body()

    def linger(self) -> None:
        """The server is about to end: close with the answer to the request in progress, or once idle."""
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.keep_alive = False
        self._stall_timer = StallTimer(self._limits.stall_seconds, self._limits.stop.linger_seconds)
        if self._has_ended:
            self.transport.close()

    def end_if_stalled(self, now: float) -> None:
        """End the connection if it has stalled for too long."""
        stalled = self._stall_timer.check(self._waiting(), self.cycle, self._moved, now)
        if stalled is None:
            return
        if stalled in ("rest", "reader"):
            self.transport.abort()
        elif self._in_head and not self._field_bytes:
            self.transport.close()  # there is no request
        else:
            self.refuse(
                HTTPStatus.REQUEST_TIMEOUT,
                f"the request's {stalled} stalled for `{self._limits.stall_seconds:g}` seconds",
            )

    def refuse(self, status: HTTPStatus, message: str) -> None:
        """Answer so the request whose body comes, else in turn; and take no further requests."""
        if self._farewell is not None:
            return
        self._farewell = b""
        if not self._in_head:
            self.cycle.keep_alive = False
            self._fail_body(HTTPException(status, message))
            return
        body = orjson.dumps({"error": message})
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self._farewell = head.encode() + body
        if self.cycle is None or self.cycle.response_complete:
            self._end()

    def _is_between_requests(self) -> bool:
        ends = self._farewell is not None or self._limits.stop.has_begun
        return not ends and super()._is_between_requests()

    def _feed(self, piece: bytes | memoryview) -> None:
        if self._farewell is not None:
            return
        super()._feed(piece)
        if self._field_bytes > MAX_HEAD_BYTES or len(self.headers) > MAX_HEADERS:
            self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, HEAD_TOO_LARGE)
        elif self._body_bytes > SMALL_BODY_BYTES:
            self._count_body()

    def _fail_body(self, error: HTTPException) -> None:
        """Let this error answer the request, whose body is not read further."""
        if self.cycle.response_complete:
            self.transport.close()
        self.cycle.scope[BODY_ERROR] = error  # type: ignore[literal-required]
        self.cycle.message_event.set()

    def _end(self) -> None:
        """Send the last answer, and drop what the client still sends until it closes too.

        Closed at once, the connection would be reset by the next byte from a client, which may then never
        see the answer: RFC 9112 (2022), section 9.6.
        """
        if not self._farewell or self._has_ended or self.transport.is_closing():
            return
        self._has_ended = True
        self.transport.write(self._farewell)
        if self.transport.can_write_eof() and not self._limits.stop.has_begun:
            self.transport.write_eof()
        else:
            self.transport.close()

    def _count_body(self) -> None:
        """Count the body in the budget, from its turn on until it is answered."""
        if self.cycle is not self._answering or self.cycle.response_complete:
            return
        budget = self._limits.budget
        budget.count += self._body_bytes - self._counted_bytes
        self._counted_bytes = self._body_bytes
        if budget.count > budget.limit_bytes:
            message = f"all bodies together are more than `{budget.limit_bytes}` bytes; come again"
            self._fail_body(HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, message, {"Retry-After": "1"}))

    def _uncount_body(self) -> None:
        self._limits.budget.count -= self._counted_bytes
        self._counted_bytes = 0

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _waiting(self) -> Waiting | None:
        if self.flow.write_paused or self.transport.is_closing():
            return "reader"
        if self._has_ended:
            return "rest"
        if self.flow.read_paused or self._held or self._farewell is not None:
            return None  # it waits for the server
        if self._in_head and (self._field_bytes or self.cycle is None):
            return "next" if self._limits.stop.has_begun and not self._field_bytes else "head"
        if self.cycle.response_complete:
            return "next" if self._in_head else "rest"
        return None if self._in_head else "body"

    def _moved(self) -> int:
        if self._in_head or self.flow.write_paused or self.transport.is_closing():
            return -self.transport.get_write_buffer_size()
        return self._body_bytes


def _make_refusing_app(status: HTTPStatus, message: str) -> ASGIApp:
    """An application that gives every request this answer, and closes the connection."""
    body = orjson.dumps({"error": message})
    headers = [JSON, (b"content-length", b"%d" % len(body)), (b"connection", b"close")]
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers.append((b"retry-after", b"1"))

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return refuse
