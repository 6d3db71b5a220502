"""`GET /adaptact/v1/live`: what the server does, once a second, as server-sent events; and what it did.

Source: WHATWG, HTML, Server-sent events, https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, suppress
from http import HTTPStatus
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request

from serve.access.control import Authorizer
from serve.engine.errors import EngineError
from serve.rest.access import read_sender
from serve.rest.schemas import ERRORS
from serve.rest.writing import IS_HEAD
from serve.shared.live_history import MOST_NOTES

MEDIA_TYPE = "text/event-stream"
MOST_STREAMS = 32  # of a server
MOST_MILLISECONDS = 2**53
SECONDS = 1.0
SLACK_SECONDS = 0.01  # a timer may fire a little early, when the second before still lasts
NOT_STORED = {"Cache-Control": "no-store"}
HEADERS = {
    **NOT_STORED,
    # With the end of the stream, since the server is then about to end.
    "Connection": "close",
    "X-Accel-Buffering": "no",  # nginx would hold the events back
}
ReadHistory: TypeAlias = Callable[[int, int], Awaitable[bytes]]
"""What was done after a moment in milliseconds since 1970, in so many entries at most."""
TOO_MANY = "as many look on as may: {} for each worker; come again"


class LiveStreams:
    """The streams of one worker: of each second there is one snapshot, which all of them share.

    Nothing is read while nobody looks on. Whoever reads slowly misses snapshots, and whoever reads nothing is
    cut off as any client is.
    """

    def __init__(
        self, read: Callable[[], Awaitable[bytes]], is_ending: Callable[[], bool], workers: int = 1
    ) -> None:
        """`read` makes a snapshot; the streams end once `is_ending`."""
        self._read = read
        self._is_ending = is_ending
        self._most = max(1, MOST_STREAMS // max(1, workers))
        self._count = 0
        self._second = -1.0
        self._snapshot: asyncio.Future[bytes] | None = None

    def open(self, most: int, may_look: Callable[[], bool] = lambda: True) -> AsyncIterator[bytes]:
        """The events of a new stream, `most` at most where that is not 0; raises `HTTPException`, 503.

        It ends once its reader may no longer look.
        """
        if self._count >= self._most:
            message = TOO_MANY.format(self._most)
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, message, {"Retry-After": "10"})
        self._count += 1  # now, and not with its first event: many may come before the first of them begins
        place = ExitStack()
        place.callback(self._free_place)
        events = self._follow(most, may_look, place)
        weakref.finalize(events, place.close)  # where its reader is gone before it begins
        return events

    def _free_place(self) -> None:
        self._count -= 1

    async def _follow(
        self, most: int, may_look: Callable[[], bool], place: ExitStack
    ) -> AsyncIterator[bytes]:
        sent = 0
        # Where the other workers cannot be asked any more, this one is about to end.
        with place, suppress(EngineError):
            while not self._is_ending() and may_look():
                yield b"event: snapshot\ndata: %b\n\n" % await self._share()
                sent += 1
                if sent == most:
                    break
                now = asyncio.get_running_loop().time()
                await asyncio.sleep(SECONDS - now % SECONDS + SLACK_SECONDS)

    async def _share(self) -> bytes:
        """The snapshot of this second."""
        second = asyncio.get_running_loop().time() // SECONDS
        if self._snapshot is None or second != self._second:
            self._second = second
            self._snapshot = asyncio.ensure_future(self._read())
        # The others still want it where one of them is gone.
        return await asyncio.shield(self._snapshot)


def live_routes(streams: LiveStreams, read_history: ReadHistory, authorizer: Authorizer) -> APIRouter:
    """The routes of those who look on, and of what was before they did."""
    router = APIRouter(prefix="/adaptact/v1/live", tags=["health"], responses=ERRORS)
    described: dict[int | str, dict[str, Any]] = {
        200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}, "description": "One event a second."}
    }

    pages: dict[int | str, dict[str, Any]] = {
        200: {"content": {"application/json": {"schema": {"type": "object"}}}, "description": "Moments."}
    }

    @router.get("", response_class=Response, responses=described)
    async def live(
        request: Request,
        most: Annotated[int, Query(ge=0, le=1_000_000, description="0 for as many as there are.")] = 0,
    ) -> Response:
        """What every version and variant has done so far, as an event `snapshot` once a second.

        It ends where the key loses its role.
        """
        if request.scope.get(IS_HEAD):
            return Response(media_type=MEDIA_TYPE, headers=HEADERS)
        sender = read_sender(request.scope, authorizer.proxies)
        events = streams.open(most, lambda: authorizer.still_admits("metrics", *sender))
        return StreamingResponse(events, media_type=MEDIA_TYPE, headers=HEADERS)

    @router.get("/history", response_class=Response, responses=pages)
    async def live_history(
        after: Annotated[int, Query(ge=0, le=MOST_MILLISECONDS, description="Milliseconds since 1970.")] = 0,
        limit: Annotated[int, Query(ge=1, le=MOST_NOTES)] = MOST_NOTES,
    ) -> Response:
        """What was done in the last hour after that moment, each five seconds, the oldest first.

        Where `more` is true, ask again with the last entry's `at`.
        """
        return Response(await read_history(after, limit), media_type="application/json", headers=NOT_STORED)

    return router
