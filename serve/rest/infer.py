"""`POST /v2/models/{model}[/versions/{version}]/infer`: the hot path, written by hand."""

import asyncio
import re
from time import perf_counter

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from serve.engine.engine import Engine
from serve.engine.errors import EngineError
from serve.protocol.messages import InferReply, read_raw_request, read_request, write_reply
from serve.rest.body import JSON_BYTES, json_bytes, read_body
from serve.rest.errors import answer, answer_unexpected
from serve.rest.metrics import Counting
from serve.rest.schemas import ERRORS, INFER, in_version

PATH = "/v2/models/{model}/infer"
VERSION_PATH = "/v2/models/{model}/versions/{version}/infer"
EITHER_PATH = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?/infer")


class Inference:
    """Answers inference requests: parse, call the engine, write."""

    def __init__(self, engine: Engine, body_limit_bytes: int) -> None:
        """Answer for this engine, with bodies up to the limit."""
        self._engine = engine
        self._body_limit_bytes = body_limit_bytes

    async def reply(self, scope: Scope, receive: Receive, name: str, version: str | None) -> InferReply:
        """The reply to the request; raises `EngineError`, `HTTPException` or `ClientDisconnect`."""
        engine = self._engine
        with Counting(engine, name, version):
            body = await read_body(scope, receive, self._body_limit_bytes)
            start = perf_counter()
            model = engine.model(name, version)
            size = json_bytes(scope)
            request = read_raw_request(body, model.signature) if size == 0 else read_request(body, size)
            read = perf_counter()
            outputs = await engine.infer(model.name, model.version, request.inputs, tuple(request.outputs))
            ran = perf_counter()
            reply = write_reply(model.name, model.version, request, outputs)
            model.metrics.input.observe(read - start)
            model.metrics.output.observe(perf_counter() - ran)
        return reply


def infer_routes(inference: Inference) -> APIRouter:
    """The routes of inference, with and without a version."""
    router = APIRouter(tags=["inference"])

    async def infer(request: Request) -> Response:
        """Run a model on tensors in JSON, in binary, or in both."""
        path = request.path_params
        reply = await inference.reply(request.scope, request.receive, path["model"], path.get("version"))
        response = Response(reply.body)
        response.raw_headers = _headers(reply)
        return response

    for path, extra in ((PATH, INFER), (VERSION_PATH, in_version(INFER))):
        router.add_api_route(path, infer, methods=["POST"], responses=ERRORS, openapi_extra=extra)
    return router


class Shortcut:
    """Answers inference requests as the routes would, without the time that the framework takes."""

    def __init__(self, app: ASGIApp, inference: Inference) -> None:
        """Stand before the app."""
        self._app = app
        self._inference = inference

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an inference request, hand on anything else; answer too if the server must stop first."""
        found = None
        if scope["type"] == "http" and scope["method"] == "POST":
            found = EITHER_PATH.fullmatch(scope["path"])
        try:
            if found:
                await self._infer(scope, receive, send, (found[1], found[2]))
            else:
                await self._app(scope, receive, send)
        except asyncio.CancelledError:
            # The stop's grace is over; the web server would answer in plain text.
            stopped = HTTPException(503, "the server stopped before the answer was ready")
            await answer(stopped)(scope, receive, send)

    async def _infer(self, scope: Scope, receive: Receive, send: Send, model: tuple[str, str | None]) -> None:
        try:
            reply = await self._inference.reply(scope, receive, *model)
        except (EngineError, HTTPException) as error:
            await answer(error)(scope, receive, send)
        except ClientDisconnect:
            pass  # nobody is there to read an answer
        except Exception as error:  # noqa: BLE001  an outermost door: whatever it is, the client gets an answer
            await answer_unexpected(error)(scope, receive, send)
        else:
            await send({"type": "http.response.start", "status": 200, "headers": _headers(reply)})
            await send({"type": "http.response.body", "body": reply.body})


def _headers(reply: InferReply) -> list[tuple[bytes, bytes]]:
    length = (b"content-length", b"%d" % len(reply.body))
    if reply.json_bytes is None:
        return [(b"content-type", b"application/json"), length]
    return [
        (b"content-type", b"application/octet-stream"),
        length,
        (JSON_BYTES, b"%d" % reply.json_bytes),
    ]
