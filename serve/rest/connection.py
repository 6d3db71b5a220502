"""One HTTP/1.1 connection: its requests are answered in turn, and parsed ahead within bounds.

A subclass of uvicorn's protocol, which has no hooks for these bounds; `tests/serve/rest/test_uvicorn.py`
checks the internals that it rests on.
"""

import asyncio
from collections.abc import Iterable
from http import HTTPStatus

import httptools
from starlette.types import Scope
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from serve.observe.access_log import REQUEST_ID

STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
HEAD_END = b"\r\n\r\n"
# A request of 18 bytes takes a thousand once parsed, so only a piece is parsed beyond the waiting requests.
# The bytes behind it are held unparsed, and beyond HELD_BYTES left to the client.
PIECE_BYTES = 2 * 2**10
HELD_BYTES = 64 * 2**10
# Beyond this, copying head and body together takes longer than writing twice.
JOINED_BYTES = 64 * 2**10

# Keys of a scope beside those of ASGI: the web server's cycle, until it is answered;
CYCLE = "adaptact.cycle"
# the task that may be cancelled when the client goes away;
TASK = "adaptact.task"
# the error that answers a request whose body is not read to its end;
BODY_ERROR = "adaptact.body_error"
# the status of an answer that was written at once.
STATUS = "adaptact.status"

CLIENT_GONE = "the client went away"
"""The message of the cancellation of a request whose client went away."""
NOT_HTTP = "Invalid HTTP request received."
NO_PROXY = "`CONNECT` is for proxies, and this server is none"


class Connection(HttpToolsProtocol):
    """Parses ahead within bounds, refuses other protocols, and ends the run of a client that goes away."""

    flow: "_HoldingFlowControl"
    _in_head = True
    _field_bytes = 0  # of a head or of trailers, since the last byte of a body
    _body_bytes = 0
    _held = b""  # the bytes behind a request that waits for its turn
    _answering: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As uvicorn's, but for the flow control."""
        super().connection_made(transport)
        self.flow = _HoldingFlowControl(transport)

    def data_received(self, data: bytes) -> None:
        """Parse the bytes, or hold them while a request waits for its turn."""
        if self.pipeline or self._held:
            self._hold(self._held + data)
        elif len(data) <= PIECE_BYTES:
            self._feed(data)
        else:
            self._parse(data)

    def on_headers_complete(self) -> None:
        """Start answering the request, unless its head is parsed again."""
        if self.parser.should_upgrade():
            return
        super().on_headers_complete()
        self._in_head, self._field_bytes, self._body_bytes = False, 0, 0
        if self.pipeline:
            self.flow.resume_reading()  # else it would not be seen that the client goes away
        else:
            self._answering = self.cycle

    def on_body(self, body: bytes) -> None:
        """Count the bytes, and keep them for the application."""
        self._field_bytes = 0
        self._body_bytes += len(body)
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        """End the body; the next request's head begins."""
        if self._in_head:
            return  # of a head that is parsed again
        self._in_head, self._field_bytes = True, 0
        self.cycle.more_body = False
        self.cycle.message_event.set()

    def on_response_complete(self) -> None:
        """Answer the next request, and parse what was held."""
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._answering, app = self.pipeline.pop()
            self._start_asgi_task(self._answering, app)
        if self._held and not self.pipeline:
            self.flow.is_full = False
            self.flow.resume_reading()
            self._parse(self._held)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the request in progress that its client went away, and cancel its task where it has one."""
        super().connection_lost(exc)
        self.pipeline.clear()
        cycle = self._answering
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
            task = cycle.scope.get(TASK)
            if isinstance(task, asyncio.Task):
                task.cancel(CLIENT_GONE)

    def refuse(self, status: HTTPStatus, message: str) -> None:
        """Answer with this status and message in turn, and take no further requests."""
        raise NotImplementedError

    def _parse(self, data: bytes) -> None:
        """Feed the parser piece by piece, until a request waits for its turn, and hold the rest."""
        view, start = memoryview(data), 0
        while start < len(data) and not self.pipeline:
            end = self._end_of_piece(data, start)
            self._feed(view[start:end])
            start = end
        self._hold(data[start:])

    def _end_of_piece(self, data: bytes, start: int) -> int:
        """The end of the head, or of a body of known length: many requests may follow."""
        if self._in_head:
            end = data.find(HEAD_END, start)
            return len(data) if end < 0 else end + len(HEAD_END)
        for name, value in self.scope["headers"]:
            if name == b"content-length":
                return start + int(value) - self._body_bytes
        return start + PIECE_BYTES

    def _hold(self, rest: bytes) -> None:
        self._held = rest
        self.flow.is_full = len(rest) > HELD_BYTES
        if self.flow.is_full:
            self.flow.pause_reading()

    def _feed(self, piece: bytes | memoryview) -> None:
        self._field_bytes += len(piece)
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:
            self._refuse_upgrade(bytes(piece[upgrade.args[0] :]))
        except httptools.HttpParserError:
            self.refuse(HTTPStatus.BAD_REQUEST, NOT_HTTP)

    def _refuse_upgrade(self, rest: bytes) -> None:
        """Parse the head again without its upgrade, for which the parser would skip the body."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            return self.refuse(HTTPStatus.NOT_IMPLEMENTED, NO_PROXY)
        lines = [b"%s %s HTTP/%s\r\n" % (method, self.url, self.parser.get_http_version().encode())]
        lines += [b"%s: %s\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        # The old parser reads nothing more after `Connection: close`.
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return self._feed(b"".join(lines) + b"\r\n" + rest)


def set_request_id(cycle: RequestResponseCycle, request_id: bytes) -> None:
    """Add the request's id to the answer's headers, whoever writes it."""
    others = [header for header in cycle.default_headers if header[0] != REQUEST_ID]
    cycle.default_headers = [*others, (REQUEST_ID, request_id)]


def write_at_once(scope: Scope, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bool:
    """Whether the answer was written at once; else it is to be sent as usual.

    `headers` include the body's length. uvicorn itself writes head and body apart, which costs a packet and
    a system call more.
    """
    cycle: RequestResponseCycle | None = scope.pop(CYCLE, None)
    if cycle is None or cycle.disconnected or cycle.response_started or cycle.flow.write_paused:
        return False
    lines = [STATUS_LINES[status]]
    for name, value in (*cycle.default_headers, *headers):
        lines += (name, b": ", value, b"\r\n")
    lines.append(b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n")
    cycle.response_started = cycle.response_complete = True
    scope[STATUS] = status
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


class _HoldingFlowControl(FlowControl):
    """Reads nothing more while HELD_BYTES are held, even if a request wants to read."""

    is_full = False

    def resume_reading(self) -> None:
        if not self.is_full:
            super().resume_reading()
