"""Requests whose heads are not parsed again are the requests that the parser would have made."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httptools
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from serve.access.hosts import AllowedHosts
from serve.rest.http import BoundedHttpProtocol, ConnectionLimits
from serve.rest.repeated_heads import MAX_MISSES
from tests.waiting import SECONDS

HEAD = b"POST /v2/models/a%%20b/infer?c=d HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nX-B: c\r\n\r\n"


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.has_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.has_closed

    def close(self) -> None:
        self.has_closed = True

    def abort(self) -> None:
        self.has_closed = True

    def resume_reading(self) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0


class Asked:
    """A connection to an application that keeps what it gets, and how often the parser has worked."""

    def __init__(self, limits: ConnectionLimits | None = None) -> None:
        self.requests: list[tuple[Scope, bytes]] = []
        self.parsed = 0
        self.wire = Wire()
        config = uvicorn.Config(self._answer, log_config=None, interface="asgi3", proxy_headers=False)
        config.load()
        limits = limits or ConnectionLimits()
        self.protocol = BoundedHttpProtocol(
            config=config, server_state=ServerState(), app_state={"kept": 1}, limits=limits
        )
        self.protocol.connection_made(self.wire)
        begin = self.protocol.on_headers_complete

        def count() -> None:
            self.parsed += 1
            begin()

        self.protocol.on_headers_complete = count  # type: ignore[method-assign]
        self.protocol.parser = httptools.HttpRequestParser(self.protocol)

    async def send(self, data: bytes, answers: int | None = None) -> None:
        wanted = len(self.requests) + 1 if answers is None else answers
        self.protocol.data_received(data)
        async with asyncio.timeout(SECONDS):
            while self.wire.written.count(b"HTTP/1.1 ") < wanted or not self.protocol.cycle.response_complete:
                await asyncio.sleep(0)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message.get("more_body", False)
        self.requests.append((dict(scope), body))
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})


def ask(act: Callable[[Asked], Awaitable[None]], limits: ConnectionLimits | None = None) -> Asked:
    async def run() -> Asked:
        asked = Asked(limits)
        await act(asked)
        return asked

    return asyncio.run(run())


def whole(body: bytes, head: bytes = HEAD) -> bytes:
    return head % len(body) + body


def test_a_repeated_head_makes_the_request_that_the_parser_makes() -> None:
    async def act(asked: Asked) -> None:
        for body in (b"12345", b"", b"1234567890", b"12345"):
            await asked.send(whole(body))

    asked = ask(act)
    assert [body for _, body in asked.requests] == [b"12345", b"", b"1234567890", b"12345"]
    assert asked.parsed == 1
    first, *_, last = [scope for scope, _ in asked.requests]
    assert last == {**first, "adaptact.cycle": last["adaptact.cycle"]}
    assert asked.requests[2][0]["headers"][1] == (b"content-length", b"10")
    assert last["state"] is not first["state"]
    assert last["headers"] is not first["headers"]


@pytest.mark.parametrize(
    "others",
    [
        b"Connection: close\r\n",
        b"Expect: 100-continue\r\n",
        b"X-Request-Id: r1\r\n",
        b"TE: trailers\r\n",
    ],
)
def test_a_head_that_asks_for_more_is_parsed_each_time(others: bytes) -> None:
    async def act(asked: Asked) -> None:
        data = HEAD.replace(b"X-B", others + b"X-B")
        for _ in range(3):
            if not asked.wire.has_closed:
                await asked.send(data.replace(b"%d", b"2").replace(b"%%", b"%") + b"12", answers=1)

    asked = ask(act)
    assert asked.protocol._known is None
    assert asked.parsed == (1 if b"close" in others else 3)


def test_a_head_that_the_parser_refuses_is_not_learned() -> None:
    async def act(asked: Asked) -> None:
        asked.protocol.data_received(HEAD.replace(b"X-B", b"Content-Length: 5\r\nX-B") % 5 + b"12345")

    asked = ask(act)
    assert (asked.requests, asked.protocol._known) == ([], None)
    assert b"HTTP/1.1 400" in asked.wire.written


@pytest.mark.parametrize(
    "data",
    [
        whole(b"12345").replace(b"X-B", b"X-C"),
        whole(b"12345") + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        HEAD % 5 + b"123",
        whole(b"12345").replace(b"Length: 5", b"Length: +5"),
        whole(b"12345").replace(b"Length: 5", b"Length: " + b"9" * 5000),
        whole(b"1" * 70_000),
    ],
    ids=["another header", "two requests", "a part", "a sign", "a huge number", "a large body"],
)
def test_other_data_is_parsed(data: bytes) -> None:
    async def act(asked: Asked) -> None:
        await asked.send(whole(b"12345"))
        asked.protocol.data_received(data)
        for _ in range(10):
            await asyncio.sleep(0)

    asked = ask(act)
    is_valid = b"+5" not in data and b"999" not in data
    assert asked.parsed == 1 + is_valid + data.count(b"GET")
    assert (b"HTTP/1.1 400" in asked.wire.written) == (not is_valid)


def test_what_the_server_refuses_is_refused_again() -> None:
    async def act(asked: Asked) -> None:
        for _ in range(2):
            await asked.send(whole(b"12345"), answers=1)

    asked = ask(act, ConnectionLimits(hosts=AllowedHosts(["other"])))
    assert asked.requests == []
    assert asked.protocol._known is None


def test_a_server_that_ends_closes_with_the_answer() -> None:
    limits = ConnectionLimits()

    async def act(asked: Asked) -> None:
        await asked.send(whole(b"12345"))
        limits.stop.has_begun = True
        await asked.send(whole(b"12345"))

    asked = ask(act, limits)
    assert asked.wire.has_closed
    assert b"connection: close" in asked.wire.written


def test_heads_that_always_differ_are_looked_at_a_few_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Any] = []
    monkeypatch.setattr("serve.rest.repeated_heads.learn_head", lambda *given: looked.append(given))

    async def act(asked: Asked) -> None:
        for number in range(3 * MAX_MISSES):
            await asked.send(whole(b"1").replace(b"X-B: c", b"X-B: %d" % number))

    asked = ask(act)
    assert len(asked.requests) == 3 * MAX_MISSES
    assert len(looked) == MAX_MISSES
