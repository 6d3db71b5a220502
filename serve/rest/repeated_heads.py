"""Heads that are not parsed again: most clients send the same one on a connection, but for the body's length.

Of a whole request in one piece of data, a head is known if it is, byte by byte, one that the parser has
accepted before on this connection. To parse it takes more time than to write the answer of a small model.
"""

import asyncio
import re
from typing import Any, NamedTuple

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from serve.observe.access_log import REQUEST_ID
from serve.rest.connection import HEAD_END, LENGTH, Connection
from serve.rest.writing import CYCLE

CONTENT_LENGTH = b"content-length"
CONNECTION = (b"connection", re.compile(b"keep-alive", re.IGNORECASE))
# With these there is more to do than to read a body; and no two requests have the same id.
OTHERS = frozenset((b"transfer-encoding", b"upgrade", b"expect", b"trailer", b"te", REQUEST_ID))
MAX_HEAD_BYTES = 2 * 2**10
MAX_DIGITS = 18
# Of head and body; a larger body counts among those of all connections.
MAX_BYTES = 64 * 2**10
# A connection whose heads differ so often in a row is not looked at any more.
MAX_MISSES = 8
# What the web server puts into a scope beside headers and state.
SERVER_KEYS = (
    *("type", "asgi", "http_version", "server", "client", "scheme", "root_path", "method", "path"),
    *("raw_path", "query_string"),
)

Scope = dict[str, Any]
Header = tuple[bytes, bytes]


class KnownHead(NamedTuple):
    """A head up to its length and from there on, and what the parser has made of it."""

    before: bytes
    after: bytes
    scope: Scope
    headers_before: tuple[Header, ...]
    headers_after: tuple[Header, ...]

    def find_body(self, data: bytes) -> int:
        """Where the body begins of a whole request with this head; 0 for any other data."""
        start = len(self.before)
        end = data.find(b"\r", start, start + MAX_DIGITS + 1)
        begin = end + len(self.after)
        if end < 0 or len(data) > MAX_BYTES or not data.startswith(self.before):
            return 0
        digits = data[start:end]
        is_whole = digits.isdigit() and data.startswith(self.after, end) and len(data) - begin == int(digits)
        return begin if is_whole else 0

    def make_scope(self, length: int, state: Scope) -> Scope:
        """The scope of a request with a body of this length."""
        headers = [*self.headers_before, (CONTENT_LENGTH, b"%d" % length), *self.headers_after]
        return {**self.scope, "headers": headers, "state": state}


def learn_head(data: bytes, scope: Scope) -> KnownHead | None:
    """The head of a whole request, of which the parser has made the scope; None if it may not be repeated."""
    end = data.find(HEAD_END, 0, MAX_HEAD_BYTES) + len(HEAD_END)
    found = LENGTH.search(data, 0, end) if end >= len(HEAD_END) else None
    if found is None or scope["http_version"] != "1.1" or end + int(found[1]) != len(data):
        return None
    headers: list[Header] = scope["headers"]
    names = [name for name, _ in headers]
    if names.count(CONTENT_LENGTH) != 1 or not OTHERS.isdisjoint(names):
        return None
    if any(name == CONNECTION[0] and not CONNECTION[1].fullmatch(value) for name, value in headers):
        return None
    place = names.index(CONTENT_LENGTH)
    kept = {key: scope[key] for key in SERVER_KEYS}
    halves = data[: found.start(1)], data[found.end(1) : end]
    return KnownHead(*halves, kept, tuple(headers[:place]), tuple(headers[place + 1 :]))


class RepeatingConnection(Connection):
    """Begins a request without the parser where its head is that of one before it."""

    _known: KnownHead | None = None
    _misses = 0

    def data_received(self, data: bytes) -> None:
        """As of any connection."""
        if self._misses >= MAX_MISSES or not self._is_between_requests():
            return super().data_received(data)
        if self._known is not None and (begin := self._known.find_body(data)):
            self._misses = 0
            self._repeat(self._known, data[begin:])
            return self._begin_next()
        self._misses += 1
        before = self.cycle
        super().data_received(data)
        # Nothing is learned of what the parser refuses, or another application, which is there to refuse.
        if self.cycle is not before and self.app is self.config.loaded_app:
            self._known = learn_head(data, dict(self.scope)) or self._known
        return None

    def _is_between_requests(self) -> bool:
        """Whether all that has come is answered, and the next byte begins a head."""
        is_idle = self.cycle is None or self.cycle.response_complete
        return is_idle and self._in_head and not (self._field_bytes or self._held or self.pipeline)

    def _repeat(self, known: KnownHead, body: bytes) -> None:
        """Begin the request as the parser's callbacks do."""
        self._body_bytes = len(body)
        scope: Any = known.make_scope(len(body), self.app_state.copy())
        self.scope = scope
        self.cycle = self._answering = cycle = RequestResponseCycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=True,
            on_response=self.on_response_complete,
        )
        cycle.body += body
        cycle.more_body = False
        cycle.message_event.set()
        scope[CYCLE] = cycle
        self._start_asgi_task(cycle, self.app)
