"""One HTTP/1.1 connection: its requests are answered in turn, and parsed ahead within bounds.

A subclass of uvicorn's protocol, which has no hooks for these bounds; `tests/serve/rest/test_uvicorn.py`
checks the internals that it rests on.
"""

import asyncio
import re
from collections.abc import Callable, Iterable
from functools import partial
from http import HTTPStatus
from typing import Any, TypeAlias

import httptools
from starlette.types import Scope
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from serve.rest.eager import start_eagerly
from serve.rest.lockstep import LOCKSTEP, Lockstep
from serve.rest.pacing import RefusalPace
from serve.rest.refusals import Refusal
from serve.rest.writing import CYCLE, write_at_once

HEAD_END = b"\r\n\r\n"
LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]{1,18})\r\n", re.IGNORECASE)
# A request of 18 bytes takes a thousand once parsed, so only a piece is parsed beyond the waiting requests.
# The bytes behind it are held unparsed, and beyond HELD_BYTES left to the client.
PIECE_BYTES = 2 * 2**10
HELD_BYTES = 64 * 2**10
# So many bytes of a refused request's body are read and dropped, since many clients send all before they
# read an answer. Behind a longer body the connection closes.
DROPPED_BYTES = 2**20

# Keys of a scope beside those of ASGI, and of serve/rest/writing.py:
# the task that may be cancelled when the client goes away;
TASK = "adaptact.task"
# who answers a request for inference, and the model's name and version;
TARGET = "adaptact.target"
# the error that answers a request whose body is not read to its end.
BODY_ERROR = "adaptact.body_error"

CLIENT_GONE = "the client went away"
"""The message of the cancellation of a request whose client went away."""
CLOSE = (b"connection", b"close")
NOT_HTTP = "Invalid HTTP request received."
NO_PROXY = "`CONNECT` is for proxies, and this server is none"


Gate: TypeAlias = Callable[[Scope], Refusal | None]
"""The refusal of a request for its head alone; None if it may be read."""


class Connection(HttpToolsProtocol):
    """Parses ahead within bounds, refuses other protocols, and ends the run of a client that goes away."""

    flow: "_HoldingFlowControl"
    _in_head = True
    _field_bytes = 0  # of a head or of trailers, since the last byte of a body
    _body_bytes = 0
    _held = b""  # the bytes behind a request that waits for its turn
    _answering: RequestResponseCycle | None = None
    _next: tuple[RequestResponseCycle, Any] | None = None  # the request to begin, and who answers it
    _refused: RequestResponseCycle | None = None  # whose body is dropped
    _closes_behind_body = False
    _pace: RefusalPace | None = None  # of a connection whose last request was refused

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As uvicorn's, but for the flow control."""
        super().connection_made(transport)
        self.flow = _HoldingFlowControl(transport)

    def data_received(self, data: bytes) -> None:
        """Parse the bytes, or hold them while a request waits for its turn."""
        if self.pipeline or self._held:
            self._hold(self._held + data)
        elif len(data) <= PIECE_BYTES or self._is_one_request(data):
            self._feed(data)
        else:
            self._parse(data)
        self._begin_next()

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
        if cycle is self._refused:
            if self._closes_behind_body and self._body_bytes > DROPPED_BYTES:
                self.transport.close()
            return
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
        if self._closes_behind_body:
            self.transport.close()

    def on_response_complete(self) -> None:
        """Answer the next request, and parse what was held."""
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._answering, app = self.pipeline.pop()
            self._begin(self._answering, app)
        if self._held and not self.pipeline:
            self.flow.is_full = False
            self.flow.resume_reading()
            self._parse(self._held)
        self._begin_next()

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

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Begin the request once all that has come of it is parsed."""
        self._next = cycle, app

    def _begin_next(self) -> None:
        if self._next is not None:
            (cycle, app), self._next = self._next, None
            self._begin(cycle, app)

    def _begin(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Let the application answer, unless it refuses the request for its head alone."""
        gate: Gate | None = getattr(app, "refuse", None)
        scope: Any = cycle.scope
        scope[CYCLE] = cycle
        refusal = None if gate is None else gate(scope)
        if refusal is not None:
            return self._refuse_request(cycle, refusal)
        self._pace = None
        if TARGET not in scope:
            return super()._start_asgi_task(cycle, app)
        coroutine, on_task = cycle.run_asgi(app), partial(self._keep_task, scope)
        lockstep: Lockstep | None = scope.get(LOCKSTEP)
        if cycle.more_body or self.pipeline or self._held:
            on_task(self.loop.create_task(coroutine))
        elif lockstep is not None:
            lockstep.start(coroutine, on_task)
        elif (task := start_eagerly(coroutine)) is not None:
            on_task(task)
        return None

    def _keep_task(self, scope: Scope, task: asyncio.Task[None]) -> None:
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)
        scope[TASK] = task

    def _refuse_request(self, cycle: RequestResponseCycle, refusal: Refusal) -> None:
        self._refused, cycle.body = cycle, bytearray()
        self._pace = self._pace or RefusalPace(refusal.late)
        delay = self._pace.delay(self.loop.time(), refusal.retry_seconds)
        if not delay:
            return self._write_refusal(cycle, refusal)
        refusal.late.count += 1
        if cycle.more_body:
            self.flow.pause_reading()
        self.loop.call_later(delay, self._write_late_refusal, cycle, refusal)
        return None

    def _write_late_refusal(self, cycle: RequestResponseCycle, refusal: Refusal) -> None:
        refusal.late.count -= 1
        self._write_refusal(cycle, refusal)

    def _write_refusal(self, cycle: RequestResponseCycle, refusal: Refusal) -> None:
        """Answer the request, and keep the connection unless too much of the body may still come."""
        if cycle.disconnected:
            return
        scope: Any = cycle.scope
        headers = refusal.headers
        if cycle.waiting_for_100_continue:
            cycle.keep_alive = False  # whether the body comes is not known
        elif cycle.more_body and not _is_short(scope["headers"]):
            headers, self._closes_behind_body = (*headers, CLOSE), True
        if not write_at_once(scope, refusal.status, headers, refusal.body):
            answer: Any = refusal.answer
            super()._start_asgi_task(cycle, answer)

    def _is_one_request(self, data: bytes) -> bool:
        """Whether the bytes are a request and its whole body, which need not be parsed in pieces."""
        end = data.find(HEAD_END)
        length = LENGTH.search(data, 0, end + len(HEAD_END)) if end > 0 else None
        return (
            length is not None
            and end + len(HEAD_END) + int(length[1]) == len(data)
            and self._in_head
            and not self._field_bytes
        )

    def _parse(self, data: bytes) -> None:
        """Feed the parser piece by piece, until a request waits for its turn, and hold the rest."""
        view, start = memoryview(data), 0
        while start < len(data) and not self.pipeline:
            end = self._end_of_piece(data, start)
            self._feed(view[start:end])
            start = end
        self._hold(data[start:])

    def _end_of_piece(self, data: bytes, start: int) -> int:
        """The end of the head, or of a body of known length: many requests may follow.

        A head that does not end is parsed piece by piece too: it may be beyond the bounds.
        """
        if self._in_head:
            end = data.find(HEAD_END, start)
            return start + PIECE_BYTES if end < 0 else end + len(HEAD_END)
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


def _is_short(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the headers announce a body of at most DROPPED_BYTES."""
    # The parser has refused any length that is not a number.
    lengths = [int(value) for name, value in headers if name == b"content-length"]
    return bool(lengths) and max(lengths) <= DROPPED_BYTES


class _HoldingFlowControl(FlowControl):
    """Reads nothing more while HELD_BYTES are held, even if a request wants to read."""

    is_full = False

    def resume_reading(self) -> None:
        if not self.is_full:
            super().resume_reading()
