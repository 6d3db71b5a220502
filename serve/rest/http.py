"""The web server's HTTP parser, with bounds on what it takes and how long, and answers in one piece."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from serve.rest.access_log import REQUEST_ID, SAFE_ID
from serve.rest.stalls import StallWatch, Waiting

# The web server itself would keep any number of headers, of any length.
HEAD_BYTES = 64 * 2**10
# A header of a few bytes takes some 150 once read.
MOST_HEADERS = 256
# Beyond this, to copy head and body together takes longer than to write twice.
STATUS_LINES = {each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n".encode() for each in HTTPStatus}
JOINED_BYTES = 64 * 2**10
# So many connections beyond the limit are told why they are not answered; any other is cut off.
TOLD_CONNECTIONS = 64
CYCLE = "adaptact.cycle"
TASK = "adaptact.task"
WRITTEN = "adaptact.written"  # the status of an answer that was written in one piece
# Why a request is cancelled, if it is because its client went away.
GONE = "the client went away"
JSON = (b"content-type", b"application/json")
TOO_MANY = "the server has as many connections as it takes; come again"
HEAD_TOO_LARGE = (
    f"the headers are larger than the limit of `{HEAD_BYTES}` bytes, or more than `{MOST_HEADERS}`"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How many connections there may be at once, and for how long one may stand still."""

    connections: int = 1000
    stall_seconds: float = 20.0


class BoundedHttp(HttpToolsProtocol):
    """Refuses what goes beyond the bounds, and answers its own errors in JSON."""

    _head_bytes = 0
    _body_bytes = 0
    _in_head = True

    def __init__(self, *arguments: Any, limits: Limits, **named: Any) -> None:
        """Of uvicorn, but for the limits."""
        super().__init__(*arguments, **named)
        self._limits = limits
        self._watch = StallWatch(limits.stall_seconds)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Answer, or say that there are too many, or cut off where even that would be too much."""
        super().connection_made(transport)
        surplus = len(self.connections) - self._limits.connections
        if surplus > TOLD_CONNECTIONS:
            transport.abort()
        elif surplus > 0:
            self.app = _refusing(HTTPStatus.SERVICE_UNAVAILABLE, TOO_MANY)

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless it is still the head and too much of it."""
        if self._in_head:
            self._head_bytes += len(data)
        else:
            self._body_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes and (self._head_bytes > HEAD_BYTES or self._has_too_many()):
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, HEAD_TOO_LARGE)

    def on_headers_complete(self) -> None:
        """From here on the body's own limit counts, and the request can be answered."""
        self._in_head = False
        # What came at once may have been a whole head, however long, and some of the body too.
        if self._has_too_many() or (self._head_bytes > HEAD_BYTES and self._head_size() > HEAD_BYTES):
            self.app = _refusing(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, HEAD_TOO_LARGE)
        super().on_headers_complete()
        self.scope[CYCLE] = self.cycle  # type: ignore[literal-required]  # a server may add keys of its own
        for name, value in self.headers:
            if name == REQUEST_ID and SAFE_ID.fullmatch(value):
                name_answer(self.cycle, value)

    def on_message_complete(self) -> None:
        """The next request's head begins."""
        self._in_head, self._head_bytes = True, 0
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """End what the client that went away has asked, if it said that it can be ended."""
        super().connection_lost(exc)
        if self.cycle is not None and not self.cycle.response_complete:
            task = self.cycle.scope.get(TASK)
            if isinstance(task, asyncio.Task):
                task.cancel(GONE)

    def look(self, now: float) -> None:
        """End the connection if it has stood still for too long."""
        stalled = self._watch.stalled(self._waiting(), self.cycle, self._moved, now)
        if stalled is None:
            return
        if stalled in ("rest", "reader"):
            self.transport.abort()
        elif stalled == "head" and not self._head_bytes:
            self.transport.close()  # it never asked anything
        else:
            self._refuse(
                HTTPStatus.REQUEST_TIMEOUT,
                f"the request's {stalled} stalled for `{self._limits.stall_seconds:g}` seconds",
            )

    def _has_too_many(self) -> bool:
        return self.headers is not None and len(self.headers) > MOST_HEADERS

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _waiting(self) -> Waiting | None:
        if self.flow.write_paused or self.transport.is_closing():
            return "reader"
        if self.flow.read_paused:
            return None  # it is the server that takes its time
        if self._in_head:
            return "head" if self._head_bytes or self.cycle is None else None
        return "rest" if self.cycle.response_complete else "body"

    def _moved(self) -> int:
        if self._in_head or self.flow.write_paused or self.transport.is_closing():
            return -self.transport.get_write_buffer_size()
        return self._body_bytes

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, and close the connection."""
        self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        body = orjson.dumps({"error": message})
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


def _refusing(status: HTTPStatus, message: str) -> Any:
    """An application that answers everything so, and closes the connection."""
    body = orjson.dumps({"error": message})
    headers = [JSON, (b"content-length", b"%d" % len(body)), (b"connection", b"close")]
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers.append((b"retry-after", b"1"))

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return refuse


def name_answer(cycle: RequestResponseCycle, request_id: bytes) -> None:
    """Let the answer carry the request's id, whatever and however it is answered."""
    others = [header for header in cycle.default_headers if header[0] != REQUEST_ID]
    cycle.default_headers = [*others, (REQUEST_ID, request_id)]


def write_in_one(scope: Scope, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bool:
    """Whether an answer of this status, headers and body was written at once; else it is to be sent as usual.

    The web server writes head and body apart, which costs a packet and a system call more. `headers` name
    the length of the body.
    """
    cycle: RequestResponseCycle | None = scope.pop(CYCLE, None)
    if cycle is None or cycle.disconnected or cycle.response_started or cycle.flow.write_paused:
        return False
    lines = [STATUS_LINES[status]]
    for name, value in (*cycle.default_headers, *headers):
        lines += (name, b": ", value, b"\r\n")
    lines.append(b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n")
    cycle.response_started = cycle.response_complete = True
    scope[WRITTEN] = status
    cycle.waiting_for_100_continue = False
    if len(body) > JOINED_BYTES:
        cycle.transport.write(b"".join(lines))
        cycle.transport.write(body)
    else:
        lines.append(body)
        cycle.transport.write(b"".join(lines))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    return True
