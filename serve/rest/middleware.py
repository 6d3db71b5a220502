"""The middleware around the application: inference past the framework, access control, and observation."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, TypeAlias

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.access.control import AccessControl
from serve.access.errors import AccessError
from serve.access.proxies import Proxies
from serve.engine.errors import EngineError
from serve.engine.joining import count_rows
from serve.engine.model import ServedModel
from serve.engine.signature import Array
from serve.observe.access_log import REQUEST_ID, Identity, identify_request
from serve.observe.observers import Attributes, Observers
from serve.rest.access import CALLER, IDENTITY, administer, admit, is_administration, read_sender, right_for
from serve.rest.body import Answer
from serve.rest.connection import TARGET, Gate
from serve.rest.errors import make_error_response, make_unexpected_response
from serve.rest.language import read_language
from serve.rest.metrics import CLIENT_CLOSED_REQUEST
from serve.rest.refusals import QueueGate, Refusal
from serve.rest.writing import CYCLE, IS_HEAD, STATUS, set_request_id, write_at_once

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from serve.observe.observers import Telemetry
    from serve.rollout.trials import Trial

MODEL = r"/models/([^/]+)(?:/versions/([^/]+))?"
INFER = re.compile(f"/v2{MODEL}/infer")
PREDICT = re.compile(f"/v1{MODEL}:predict")
ROUTES = ((INFER, "/v2/models/{model}/infer"), (PREDICT, "/v1/models/{model}:predict"))
TIMINGS = "adaptact.timings"
"""Where in the scope the request's timings are, if it is traced."""
TRACE_HEADERS = (b"traceparent", b"tracestate")
SERVER_ERROR = 500

Handler = Callable[[Scope, Receive, str, str | None], Awaitable[Answer]]
"""Answers a request to the model of this name and version."""
Target: TypeAlias = tuple[Handler, str, str | None]
"""Who answers a request for inference, and the model's name and version."""


class InferenceMiddleware:
    """Admits requests, answers inference itself, and passes all others to the application.

    The framework would take more time than a small model does: plain FastAPI answers fewer than half as many
    requests (docs/results/serving.md). The answers are those of the routes that OpenAPI describes.
    """

    def __init__(
        self, app: ASGIApp, infer: Handler, predict: Handler, gate: QueueGate, access: AccessControl
    ) -> None:
        self._app = app
        self._access = access
        # None where inference needs no key, so that it does not pay for the check.
        self._authorizer = None if access.authorizer.is_open else access.authorizer
        self._handlers = ((INFER, infer), (PREDICT, predict))
        self._gate = gate

    def refuse(self, scope: Scope) -> Refusal | None:
        """The refusal of this request for its head alone; None if it may be read."""
        target = self._find_target(scope)
        if target is None:
            return None
        scope[TARGET] = target
        return self._gate.refuse(scope, *target[1:])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, with 503 if the server stops before it has an answer."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        try:
            target = scope.get(TARGET) or self._find_target(scope)
            if target is not None:
                return await self._answer_model(target, scope, receive, send)
            await self._pass_on(scope, receive, send)
        except (AccessError, HTTPException) as error:
            await make_error_response(error, read_language(scope["headers"]))(scope, receive, send)
        except asyncio.CancelledError:
            # The grace of the stop is over; the web server would answer in plain text.
            stopped = HTTPException(503, "the server stopped before the answer was ready")
            await make_error_response(stopped, read_language(scope["headers"]))(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.pop(CYCLE, None)
        method, path = scope["method"], scope["path"]
        if is_administration(method, path):
            return await administer(self._access, self._app, scope, receive, send)
        admit(self._access.authorizer, right_for(method, path), scope)
        if method == "HEAD":
            scope = {**scope, "method": "GET", IS_HEAD: True}  # the web server leaves out the body
        return await self._app(scope, receive, send)

    def _find_target(self, scope: Scope) -> Target | None:
        """Who answers a request for inference, and its model; None for any other request."""
        if scope["method"] == "POST":
            for path, handler in self._handlers:
                if match := path.fullmatch(scope["path"]):
                    return handler, match[1], match[2]
        return None

    async def _answer_model(self, target: Target, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if self._authorizer is not None:
                admit(self._authorizer, "infer", scope)
            handler, name, version = target
            answer = await handler(scope, receive, name, version)
        except (EngineError, HTTPException) as error:
            refusal = make_error_response(error, read_language(scope["headers"]))
            # At a full queue most answers are refusals, whose cost is missing for the others.
            if not write_at_once(scope, refusal.status_code, refusal.raw_headers, bytes(refusal.body)):
                await refusal(scope, receive, send)
        except ClientDisconnect:
            pass  # no client to answer
        except Exception as error:  # noqa: BLE001  the outermost handler: the client gets an answer to any error
            await make_unexpected_response(error, read_language(scope["headers"]))(scope, receive, send)
        else:
            headers = answer.all_headers()
            if not write_at_once(scope, 200, headers, answer.body):
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": "http.response.body", "body": answer.body})
        finally:
            scope.pop(CYCLE, None)


class ObservingMiddleware:
    """Names each answer with its request's id, and reports the request to the access log and the tracer."""

    def __init__(self, app: ASGIApp, observers: Observers, proxies: Proxies) -> None:
        self._app = app
        self._gate: Gate | None = getattr(app, "refuse", None)
        self._proxies = proxies
        self._log = observers.log
        self._spans = None if observers.telemetry is None else SpanRecorder(observers.telemetry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer, then report."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        began = perf_counter()
        identity = scope[IDENTITY] = identify_request(scope["headers"])
        timings = RequestTimings()
        if self._spans is not None:
            scope[TIMINGS] = timings
        reply = _ObservedReply(scope, identity.request_id.encode(), send)
        try:
            await self._app(scope, receive, reply.send)
        finally:
            self._report(scope, identity, reply.status, timings, began)

    def refuse(self, scope: Scope) -> Refusal | None:
        """As of the application, and reported."""
        refusal = None if self._gate is None else self._gate(scope)
        if refusal is not None:
            identity = identify_request(scope["headers"])
            set_request_id(scope[CYCLE], identity.request_id.encode())
            self._report(scope, identity, refusal.status, RequestTimings(), perf_counter())
        return refusal

    def _report(
        self, scope: Scope, identity: Identity, status: int, timings: "RequestTimings", began: float
    ) -> None:
        ended = perf_counter()
        if self._spans is not None:
            identity = self._spans.record(scope, identity, status, timings, (began, ended))
        if self._log is not None:
            request = scope["method"], scope["path"]
            self._log.record(request, identity, _name_caller(scope, self._proxies), status, ended - began)


@dataclass(slots=True)
class RequestTimings:
    """The stages of an inference request by `perf_counter`; None or 0 where it did not get so far."""

    model: ServedModel | None = None
    trial: "Trial | None" = None
    rows: int | None = None
    began: float = 0.0
    read: float = 0.0
    ran: float = 0.0
    written: float = 0.0

    def set_answered(
        self, by: ServedModel, inputs: Mapping[str, Array], began: float, read: float, ran: float
    ) -> None:
        """The request was read from `began` to `read`, `by` had run it at `ran`, and it is written now."""
        self.model = by
        self.rows = count_rows(inputs)
        self.began, self.read, self.ran, self.written = began, read, ran, perf_counter()


class SpanRecorder:
    """Makes the spans of inference requests, once they are answered."""

    def __init__(self, telemetry: "Telemetry") -> None:
        self._telemetry = telemetry

    def record(
        self,
        scope: Scope,
        identity: Identity,
        status: int,
        timings: RequestTimings,
        span: tuple[float, float],
    ) -> Identity:
        """The identity, with the trace's id if this was an inference request and so has a span.

        `span` is when by `perf_counter` the request came and was answered.
        """
        route = next((route for path, route in ROUTES if path.fullmatch(scope["path"])), None)
        if route is None or scope["method"] != "POST":
            return identity
        attributes: Attributes = {
            "http.request.method": "POST",
            "http.route": route,
            "http.response.status_code": status,
            "adaptact.request_id": identity.request_id,
            **_describe_timings(timings),
        }
        carrier = {
            name.decode(): value.decode("latin-1")
            for name, value in scope["headers"]
            if name in TRACE_HEADERS
        }
        trace_id = self._telemetry.span(f"POST {route}", carrier, attributes, status >= SERVER_ERROR, span)
        return replace(identity, trace_id=trace_id)


class _ObservedReply:
    """Sends the answer with the request's id, and keeps its status."""

    def __init__(self, scope: Scope, request_id: bytes, send: Send) -> None:
        """The web server's cycle adds the id to its answer; without one it is added here."""
        cycle: RequestResponseCycle | None = scope.get(CYCLE)
        self._scope = scope
        self._cycle = cycle
        self._send = send
        self._extra = [] if cycle is not None else [(REQUEST_ID, request_id)]
        self._sent: int | None = None
        if cycle is not None:
            set_request_id(cycle, request_id)

    async def send(self, message: Message) -> None:
        """Send the message on; a status that is sent after the client has gone does not count."""
        is_gone = self._cycle is not None and self._cycle.disconnected
        if message["type"] == "http.response.start" and not is_gone:
            self._sent = message["status"]
            message = {**message, "headers": [*message.get("headers", ()), *self._extra]}
        await self._send(message)

    @property
    def status(self) -> int:
        """The status that the client got."""
        if self._sent is not None:
            return self._sent
        # An answer that was written at once did not pass `send`.
        status: int = self._scope.get(STATUS, CLIENT_CLOSED_REQUEST)
        return status


def _describe_timings(timings: RequestTimings) -> Attributes:
    """The span's attributes for the model, and for the stages of a request that was answered.

    A span for each stage would say the same, and each would cost as much again.
    """
    if timings.model is None:
        return {}
    model: Attributes = {
        "adaptact.model": timings.model.name,
        "adaptact.version": timings.model.version,
        **({} if timings.trial is None else timings.trial.describe_for_traces()),
    }
    if timings.rows is None:
        return model
    return {
        **model,
        "adaptact.rows": timings.rows,
        "adaptact.read_microseconds": _to_microseconds(timings.began, timings.read),
        "adaptact.run_microseconds": _to_microseconds(timings.read, timings.ran),
        "adaptact.write_microseconds": _to_microseconds(timings.ran, timings.written),
    }


def _to_microseconds(start: float, end: float) -> int:
    return round(1e6 * (end - start))


def _name_caller(scope: Scope, proxies: Proxies) -> str:
    """The caller's name, if the request had a key, else its address."""
    return str(scope.get(CALLER) or read_sender(scope, proxies)[1] or "")
