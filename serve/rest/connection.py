"""One connection: its requests, answered in turn, within bounds."""

import asyncio
from collections.abc import Iterable
from http import HTTPStatus

import httptools
from starlette.types import Scope
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from serve.observe.access_log import REQUEST_ID

STATUS_LINES = {each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n".encode() for each in HTTPStatus}
# Beyond this, to copy head and body together takes longer than to write twice.
JOINED_BYTES = 64 * 2**10
# What a scope holds beside what ASGI says: the cycle, until it is answered,
CYCLE = "adaptact.cycle"
# the task that may be cancelled if the client goes away,
TASK = "adaptact.task"
# the error that answers a request whose body does not come to its end,
CUT = "adaptact.cut"
# and the status of an answer that was written in one piece.
WRITTEN = "adaptact.written"


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


# A request of 18 bytes takes a thousand once read, so no more than a piece is read ahead of those that wait.
# What comes behind it is held as it came, and beyond HELD_BYTES left to the client.
PIECE_BYTES = 2 * 2**10
HELD_BYTES = 64 * 2**10
HEAD_END = b"\r\n\r\n"
# Why a request is cancelled, if it is because its client went away.
GONE = "the client went away"
NOT_HTTP = "Invalid HTTP request received."
NO_PROXY = "`CONNECT` is for proxies, and this server is none"


class _Flow(FlowControl):
    """Nothing more is read while as much is held as may be, whatever a request wants to read."""

    is_full = False

    def resume_reading(self) -> None:
        if not self.is_full:
            super().resume_reading()


class Connection(HttpToolsProtocol):
    """Reads ahead within bounds, offers no other protocol, and ends what runs for a client that goes away."""

    flow: _Flow
    _in_head = True
    _field_bytes = 0  # of a head or of trailers, since the last byte of a body
    _body_bytes = 0
    _held = b""  # what came behind a request that waits for its turn
    _answering: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Of uvicorn, but for the flow."""
        super().connection_made(transport)
        self.flow = _Flow(transport)

    def data_received(self, data: bytes) -> None:
        """Parse what came, or hold it while a request waits for its turn."""
        if self.pipeline or self._held:
            self._hold(self._held + data)
        elif len(data) <= PIECE_BYTES:
            self._feed(data)
        else:
            self._parse(data)

    def on_headers_complete(self) -> None:
        """The request can be answered, unless its head is parsed again."""
        if self.parser.should_upgrade():
            return
        super().on_headers_complete()
        self._in_head, self._field_bytes, self._body_bytes = False, 0, 0
        if self.pipeline:
            self.flow.resume_reading()  # else nobody would see that the client goes away
        else:
            self._answering = self.cycle

    def on_body(self, body: bytes) -> None:
        """Count it, and keep it for whoever reads it."""
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
        """The next request's head begins."""
        if self._in_head:
            return  # of a head that is parsed again
        self._in_head, self._field_bytes = True, 0
        self.cycle.more_body = False
        self.cycle.message_event.set()

    def on_response_complete(self) -> None:
        """Answer the next request, and go on with what was held."""
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
        """End what the client that went away has asked, if it said that it can be ended."""
        super().connection_lost(exc)
        self.pipeline.clear()
        cycle = self._answering
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
            task = cycle.scope.get(TASK)
            if isinstance(task, asyncio.Task):
                task.cancel(GONE)

    def refuse(self, status: HTTPStatus, message: str) -> None:
        """Answer so in its turn, and take nothing more."""
        raise NotImplementedError

    def _parse(self, data: bytes) -> None:
        """Feed it piece by piece, until a request waits for its turn, and hold the rest."""
        view, start = memoryview(data), 0
        while start < len(data) and not self.pipeline:
            end = self._end_of_piece(data, start)
            self._feed(view[start:end])
            start = end
        self._hold(data[start:])

    def _end_of_piece(self, data: bytes, start: int) -> int:
        """Where the head ends, or the body if its length is announced: behind them may be many requests."""
        if self._in_head:
            found = data.find(HEAD_END, start)
            return len(data) if found < 0 else found + len(HEAD_END)
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
            self._stay(bytes(piece[upgrade.args[0] :]))
        except httptools.HttpParserError:
            self.refuse(HTTPStatus.BAD_REQUEST, NOT_HTTP)

    def _stay(self, rest: bytes) -> None:
        """Parse a head again without the protocol that it offers, for which the parser skips the body."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            return self.refuse(HTTPStatus.NOT_IMPLEMENTED, NO_PROXY)
        lines = [b"%s %s HTTP/%s\r\n" % (method, self.url, self.parser.get_http_version().encode())]
        lines += [b"%s: %s\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        # The old one reads nothing more after `Connection: close`.
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return self._feed(b"".join(lines) + b"\r\n" + rest)
