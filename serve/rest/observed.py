"""Around the door: each request gets its id, and the access log and the traces are told what became of it."""

from time import perf_counter
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.rest.access import CALLER, IDENTITY
from serve.rest.cycle import CYCLE, WRITTEN, name_answer
from serve.rest.metrics import CLIENT_CLOSED_REQUEST
from serve.rest.notes import NOTES, Notes
from serve.rest.traced import Tracing
from serve.watch.access_log import REQUEST_ID, identify
from serve.watch.watchers import Watchers

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class Observed:
    """An application whose every answer carries the request's id, and is told of."""

    def __init__(self, app: ASGIApp, watchers: Watchers) -> None:
        """Tell them."""
        self._app = app
        self._log = watchers.log
        self._tracing = None if watchers.telemetry is None else Tracing(watchers.telemetry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer, then tell."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        began = perf_counter()
        identity = scope[IDENTITY] = identify(scope["headers"])
        notes = Notes()
        if self._tracing is not None:
            scope[NOTES] = notes
        reply = _Reply(scope, identity.request_id.encode(), send)
        try:
            await self._app(scope, receive, reply.send)
        finally:
            ended = perf_counter()
            if self._tracing is not None:
                identity = self._tracing.record(scope, identity, reply.status, notes, (began, ended))
            if self._log is not None:
                asked = scope["method"], scope["path"]
                self._log.record(asked, identity, _caller(scope), reply.status, ended - began)


class _Reply:
    """What is sent back: with the request's id, and known by its status."""

    def __init__(self, scope: Scope, request_id: bytes, send: Send) -> None:
        """The web server's cycle adds the id to its answer; without one it is added here."""
        cycle: RequestResponseCycle | None = scope.get(CYCLE)
        self._scope = scope
        self._cycle = cycle
        self._send = send
        self._extra = [] if cycle is not None else [(REQUEST_ID, request_id)]
        self._sent: int | None = None
        if cycle is not None:
            name_answer(cycle, request_id)

    async def send(self, message: Message) -> None:
        """Send on; what is sent when the client is gone was not its answer."""
        gone = self._cycle is not None and self._cycle.disconnected
        if message["type"] == "http.response.start" and not gone:
            self._sent = message["status"]
            message = {**message, "headers": [*message.get("headers", ()), *self._extra]}
        await self._send(message)

    @property
    def status(self) -> int:
        """What the client was answered."""
        if self._sent is not None:
            return self._sent
        # What is written in one piece does not pass here.
        status: int = self._scope.get(WRITTEN, CLIENT_CLOSED_REQUEST)
        return status


def _caller(scope: Scope) -> str:
    """Who asked: the caller whom the gate found, else the address."""
    client = scope.get("client")
    return str(scope.get(CALLER) or (client[0] if client else ""))
