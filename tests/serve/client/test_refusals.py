"""What neither client sends, and what neither shows."""

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from serve.client import (
    AsyncClient,
    Client,
    InvalidAddressError,
    InvalidHeaderError,
    InvalidInputError,
    Transport,
    UnavailableError,
    UnreachableError,
)
from tests.serve.client.scripted import json_reply, scripted
from tests.serve.client.through import Ask, Through, both

SERVER = {"name": "s", "version": "1", "extensions": []}
X = {"x": np.ones((1, 3), np.float32)}
HALF = "\ud800"


@both
@pytest.mark.parametrize(
    "ask",
    [
        lambda c: c.model_metadata(HALF),
        lambda c: c.is_model_ready("m", HALF),
        lambda c: c.model_metadata("m" * 70_000),
        lambda c: c.infer(HALF, X),
        lambda c: c.infer("m", {"x": np.array([HALF])}),
        lambda c: c.infer("m", {"x": np.array([None])}),
        lambda c: c.infer("m", {"x": [[1], [1, 2]]}),
        lambda c: c.infer("m", X, parameters={"a": object()}),
        lambda c: c.infer("m", X, parameters={1: 2, "a": 3, object(): 4}),
        lambda c: c.infer("m", X, outputs=[object()]),
        lambda c: c.infer("m", X, encoding="jsn"),
        lambda c: c.predict(HALF, [[1]]),
        lambda c: c.predict("m", [object()]),
        lambda c: c.predict("m", [{1, 2}]),
    ],
)
def test_what_cannot_be_written_is_an_invalid_input(through: Through, ask: Ask) -> None:
    with pytest.raises(InvalidInputError):
        through("http://127.0.0.1:1", ask)


def test_a_client_that_is_closed_is_unreachable() -> None:
    client = Client("http://127.0.0.1:1")
    client.close()
    with pytest.raises(UnreachableError, match="this client is closed"):
        client.is_live()

    async def ask() -> None:
        client = AsyncClient("http://127.0.0.1:1")
        await client.aclose()
        await client.is_live()

    with pytest.raises(UnreachableError, match="this client is closed"):
        asyncio.run(ask())


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize(
    "given",
    [
        {"api_key": "secret\nmore"},
        {"api_key": "secret€"},
        {"api_key": ""},
        {"transport": Transport(headers={"x-key": "secret\n"})},
        {"transport": Transport(headers={"x-key": "secrét"})},
        {"transport": Transport(headers={"x key": "secret"})},
    ],
)
def test_a_key_that_cannot_be_sent_is_refused_and_not_quoted(
    kind: Callable[..., Any], given: dict[str, Any]
) -> None:
    with pytest.raises(InvalidHeaderError, match="cannot be sent") as caught:
        kind("http://127.0.0.1:1", **given)
    assert "secr" not in str(caught.value)


@both
def test_a_keys_line_end_is_not_sent(through: Through) -> None:
    with scripted(json_reply(SERVER)) as server:
        through(server.url, lambda c: c.server_metadata(), api_key="secret\n")
    assert server.requests[0].headers["authorization"] == "Bearer secret"


@both
def test_a_password_in_the_address_is_sent_and_not_shown(through: Through) -> None:
    with scripted(json_reply({"error": "why"}, 503)) as server:
        url = server.url.replace("//", "//someone:secret@")
        with pytest.raises(UnavailableError):
            through(url, lambda c: c.server_metadata())
        asked = server.requests[0].headers["authorization"]
    assert asked == "Basic " + base64.b64encode(b"someone:secret").decode()
    with pytest.raises(UnreachableError) as caught:
        through(url, lambda c: c.server_metadata())
    assert str(caught.value).startswith(f"`{server.url}` cannot be reached")
    with pytest.raises(InvalidAddressError) as refused:
        Client("ftp://someone:secret@a")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    ["localhost:8000", "ftp://a", "http://", "http://a:x", "http://a:99999", "http://a?", "http://a#", ""],
)
def test_what_is_no_address_is_refused_at_once(url: str) -> None:
    with pytest.raises(InvalidAddressError, match="is not the address of a server"):
        Client(url)


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_what_cannot_be_a_name_is_refused(name: str) -> None:
    with Client("http://127.0.0.1:1") as client, pytest.raises(InvalidInputError):
        client.model_metadata(name)
