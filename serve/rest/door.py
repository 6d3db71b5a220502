"""The outermost application: every request comes in here, and what models are asked is answered at once."""

import asyncio
import re
from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from serve.access.entrance import Entrance
from serve.access.errors import AccessError
from serve.engine.errors import EngineError
from serve.rest.access import administer, admit, right_for
from serve.rest.answers import Answer
from serve.rest.cycle import CYCLE, TASK, write_in_one
from serve.rest.errors import answer, answer_unexpected

# By the path: what answers it, given the model's name and the version, if one is named.
Handler = Callable[[Scope, Receive, str, str | None], Awaitable[Answer]]

MODEL = r"/models/([^/]+)(?:/versions/([^/]+))?"
INFER = re.compile(f"/v2{MODEL}/infer")
PREDICT = re.compile(f"/v1{MODEL}:predict")


class Door:
    """Judges each request, answers inference without the time that the framework takes, hands on the rest.

    Inference is answered as the framework's own routes would answer it, which describe it in OpenAPI.
    """

    def __init__(self, app: ASGIApp, infer: Handler, predict: Handler, entrance: Entrance) -> None:
        """Stand before the app."""
        self._app = app
        self._entrance = entrance
        # None where nobody need be asked to infer, so that inference does not pay for the gate.
        self._gate = None if entrance.gate.is_open else entrance.gate
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
        admit(self._entrance.gate, right, scope)
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
