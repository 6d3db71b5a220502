"""A client of the application itself, without a socket."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import httpx
import orjson
from starlette.types import ASGIApp

Body = bytes | str | AsyncIterator[bytes] | None


class Client:
    """Sends one request at a time."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def get(self, path: str) -> httpx.Response:
        return self.request("GET", path)

    def post(self, path: str, body: object = b"", headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Send bytes as they are, and anything else as JSON."""
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        return self.request("POST", path, content, headers)

    def request(
        self, method: str, path: str, body: Body = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        return asyncio.run(self._request(method, path, body, headers))

    async def _request(
        self, method: str, path: str, body: Body, headers: Mapping[str, str] | None
    ) -> httpx.Response:
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return await client.request(method, path, content=body, headers=headers)
