"""Around every request: inference is routed past the framework; ids, the access log and traces see all."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.access.control import AccessControl
from serve.access.errors import AccessError
from serve.engine.errors import EngineError
from serve.engine.joining import rows_of
from serve.engine.model import ServedModel
from serve.engine.signature import Array
from serve.observe.access_log import REQUEST_ID, Identity, identify_request
from serve.observe.observers import Attributes, Observers
from serve.rest.access import CALLER, IDENTITY, administer, admit, right_for
from serve.rest.body import Answer
from serve.rest.connection import CYCLE, TASK, WRITTEN, name_answer, write_in_one
from serve.rest.errors import answer, answer_unexpected
from serve.rest.metrics import CLIENT_CLOSED_REQUEST

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from serve.observe.observers import Telemetry

# By the path: what answers it, given the model's name and the version, if one is named.
Handler = Callable[[Scope, Receive, str, str | None], Awaitable[Answer]]
MODEL = r"/models/([^/]+)(?:/versions/([^/]+))?"
INFER = re.compile(f"/v2{MODEL}/infer")
PREDICT = re.compile(f"/v1{MODEL}:predict")


class Door:
    """Judges each request, answers inference without the time that the framework takes, hands on the rest.

    Inference is answered as the framework's own routes would answer it, which describe it in OpenAPI.
    """

    def __init__(self, app: ASGIApp, infer: Handler, predict: Handler, entrance: AccessControl) -> None:
        """Stand before the app."""
        self._app = app
        self._entrance = entrance
        # None where nobody need be asked to infer, so that inference does not pay for the gate.
        self._gate = None if entrance.authorizer.is_open else entrance.authorizer
        self._quick = ((INFER, infer), (PREDICT, predict))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; answer too if the server must stop first."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        try:
            if scope["method"] == "POST":
                for path, handler in self._quick:
                    if found := path.fullmatch(scope["path"]):
                        model = found[1], found[2]
                        return await self._answer_model(handler, scope, receive, send, model)
            await self._hand_on(scope, receive, send)
        except (AccessError, HTTPException) as error:
            await answer(error)(scope, receive, send)
        except asyncio.CancelledError:
            # The stop's grace is over; the web server would answer in plain text.
            stopped = HTTPException(503, "the server stopped before the answer was ready")
            await answer(stopped)(scope, receive, send)

    async def _hand_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.pop(CYCLE, None)
        right = right_for(scope["method"], scope["path"])
        if right == "admin":
            return await administer(self._entrance, self._app, scope, receive, send)
        admit(self._entrance.authorizer, right, scope)
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}  # the web server leaves out the body
        return await self._app(scope, receive, send)

    async def _answer_model(
        self, handler: Handler, scope: Scope, receive: Receive, send: Send, model: tuple[str, str | None]
    ) -> None:
        # Whoever goes away need not be answered, and what runs for it can end.
        scope[TASK] = asyncio.current_task()
        try:
            if self._gate is not None:
                admit(self._gate, "infer", scope)
            ready = await handler(scope, receive, *model)
        except (EngineError, HTTPException) as error:
            refused = answer(error)
            # At a full queue most answers are refusals, and what they cost is missing where it is needed.
            if not write_in_one(scope, refused.status_code, refused.raw_headers, bytes(refused.body)):
                await refused(scope, receive, send)
        except ClientDisconnect:
            pass  # nobody is there to read an answer
        except Exception as error:  # noqa: BLE001  an outermost door: whatever it is, the client gets an answer
            await answer_unexpected(error)(scope, receive, send)
        else:
            headers = ready.all_headers()
            if not write_in_one(scope, 200, headers, ready.body):
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": "http.response.body", "body": ready.body})
        finally:
            scope.pop(CYCLE, None)


NOTES = "adaptact.notes"
"""Where in the scope the notes are, if anybody watches."""


@dataclass(slots=True)
class Notes:
    """Times are by `perf_counter`; what was not reached is None or 0."""

    model: ServedModel | None = None
    rows: int | None = None
    began: float = 0.0
    read: float = 0.0
    ran: float = 0.0
    written: float = 0.0

    def answered(self, inputs: Mapping[str, Array], began: float, read: float, ran: float) -> None:
        """The request was read from `began` to `read`, had run at `ran`, and is written now."""
        self.rows = rows_of(inputs)
        self.began, self.read, self.ran, self.written = began, read, ran, perf_counter()


ROUTES = ((INFER, "/v2/models/{model}/infer"), (PREDICT, "/v1/models/{model}:predict"))
SERVER_ERROR = 500
# What the caller's span is told by.
CARRIED = (b"traceparent", b"tracestate")


class Tracing:
    """Makes the spans of requests, once they are answered."""

    def __init__(self, telemetry: "Telemetry") -> None:
        """Make them with this."""
        self._telemetry = telemetry

    def record(
        self, scope: Scope, identity: Identity, status: int, notes: Notes, spent: tuple[float, float]
    ) -> Identity:
        """Make the request's span if it asked a model, and name its trace in the identity.

        `spent` is when by `perf_counter` the request came and was answered.
        """
        route = next((route for path, route in ROUTES if path.fullmatch(scope["path"])), None)
        if route is None or scope["method"] != "POST":
            return identity
        about: Attributes = {
            "http.request.method": "POST",
            "http.route": route,
            "http.response.status_code": status,
            "adaptact.request_id": identity.request_id,
            **_about(notes),
        }
        carried = {
            name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in CARRIED
        }
        trace_id = self._telemetry.span(f"POST {route}", carried, about, status >= SERVER_ERROR, spent)
        return replace(identity, trace_id=trace_id)


def _about(notes: Notes) -> Attributes:
    """What is known of the model, and of the stages of a request that came to its end.

    A span for each stage would say the same, and cost as much again each.
    """
    if notes.model is None:
        return {}
    model: Attributes = {
        "adaptact.model": notes.model.name,
        "adaptact.version": notes.model.version,
    }
    if notes.rows is None:
        return model
    return {
        **model,
        "adaptact.rows": notes.rows,
        "adaptact.read_microseconds": _microseconds(notes.began, notes.read),
        "adaptact.run_microseconds": _microseconds(notes.read, notes.ran),
        "adaptact.write_microseconds": _microseconds(notes.ran, notes.written),
    }


def _microseconds(start: float, end: float) -> int:
    return round(1e6 * (end - start))


class Observed:
    """An application whose every answer carries the request's id, and is told of."""

    def __init__(self, app: ASGIApp, watchers: Observers) -> None:
        """Tell them."""
        self._app = app
        self._log = watchers.log
        self._tracing = None if watchers.telemetry is None else Tracing(watchers.telemetry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer, then tell."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        began = perf_counter()
        identity = scope[IDENTITY] = identify_request(scope["headers"])
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
