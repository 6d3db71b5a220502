"""Bodies of requests, read within limits, and of answers, compressed where the client accepts it."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fastapi import Response
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from serve.engine.errors import MalformedRequestError, quote
from serve.protocol.compression import MIN_BYTES, Coding, choose_coding, compress, decompress, read_coding
from serve.protocol.json_text import Value, parse_object
from serve.rest.connection import BODY_ERROR
from serve.rest.errors import BodyTooLarge, UnsupportedEncoding

JSON_BYTES = b"inference-header-content-length"
MAX_DIGITS = 18  # of any plausible size
# The limit of requests that are not inference: settings, a model's configuration.
SMALL_LIMIT_BYTES = 2**20
# From here on zlib takes longer than handing the work to another thread and back.
DECODE_IN_THREAD_BYTES = 64 * 2**10
ENCODE_IN_THREAD_BYTES = 16 * 2**10
JSON = (b"content-type", b"application/json")
BINARY = (b"content-type", b"application/octet-stream")

Headers = list[tuple[bytes, bytes]]


class BodyHeaders(NamedTuple):
    """The request's headers on its body and on the answer's."""

    announced: bytes
    json_bytes: int | None
    """How many bytes of the uncompressed body are JSON; None without the header."""
    coding: Coding | None
    accepted: Coding | None
    fields: Mapping[bytes, bytes]
    """All headers of the request, by their names in lower case; of several of a name the last."""


class Answer(NamedTuple):
    """A body and its headers, without its length."""

    body: bytes
    headers: Sequence[tuple[bytes, bytes]] = (JSON,)

    def all_headers(self) -> Headers:
        """The headers, with the body's length."""
        return [*self.headers, (b"content-length", b"%d" % len(self.body))]

    def response(self) -> Response:
        """The answer as a response of the framework."""
        response = Response(self.body)
        response.raw_headers = self.all_headers()
        return response


def read_body_headers(scope: Scope) -> BodyHeaders:
    """The headers; raises `UnsupportedEncoding`, or `MalformedRequestError` for an invalid number."""
    # A server gives names in lower case.
    headers: Mapping[bytes, bytes] = dict(scope["headers"])
    coding, accepted = headers.get(b"content-encoding"), headers.get(b"accept-encoding")
    return BodyHeaders(
        headers.get(b"content-length", b""),
        _read_json_bytes(headers.get(JSON_BYTES)),
        None if coding is None or coding.lower() in (b"", b"identity") else _read_coding(coding),
        None if accepted is None else choose_coding(accepted.decode("latin-1")),
        headers,
    )


async def read_body(
    scope: Scope, headers: BodyHeaders, receive: Receive, limit_bytes: int
) -> bytes | bytearray:
    """The whole body, decompressed, whatever its content type says.

    Raises `BodyTooLarge` as soon as the announced, the received or the decompressed bytes exceed the limit,
    and the web server's own error where it stopped reading.
    """
    announced = headers.announced
    if announced.isdigit() and (len(announced) > MAX_DIGITS or int(announced) > limit_bytes):
        raise BodyTooLarge(limit_bytes)
    message = await receive()
    whole: bytes | bytearray = message.get("body", b"")
    while message.get("more_body"):
        if BODY_ERROR in scope:
            raise scope[BODY_ERROR]
        if len(whole) > limit_bytes:
            raise BodyTooLarge(limit_bytes)
        message = await receive()
        whole = bytearray(whole) if isinstance(whole, bytes) else whole
        whole += message.get("body", b"")
    if message["type"] != "http.request":
        raise ClientDisconnect
    if len(whole) > limit_bytes:
        raise BodyTooLarge(limit_bytes)
    return whole if headers.coding is None else await _decompress(whole, headers.coding, limit_bytes)


async def read_small_object(scope: Scope, receive: Receive) -> dict[str, Value]:
    """The JSON object that a request sends; an empty one for an empty body."""
    return parse_object(await read_body(scope, read_body_headers(scope), receive, SMALL_LIMIT_BYTES))


async def compress_answer(answer: Answer, coding: Coding | None) -> Answer:
    """The answer in this coding, or unchanged where that is not worth it."""
    if coding is None or len(answer.body) < MIN_BYTES:
        return answer
    if len(answer.body) < ENCODE_IN_THREAD_BYTES:
        compressed = compress(answer.body, coding)
    else:
        compressed = await asyncio.to_thread(compress, answer.body, coding)
    if compressed is None:
        return answer
    return Answer(compressed, [*answer.headers, (b"content-encoding", coding.encode())])


async def _decompress(body: bytes | bytearray, coding: Coding, limit_bytes: int) -> bytes:
    # Some kilobytes grow to megabytes, so only the shortest bodies stay on the event loop.
    if len(body) * 16 < DECODE_IN_THREAD_BYTES:
        return decompress(body, coding, limit_bytes)
    return await asyncio.to_thread(decompress, body, coding, limit_bytes)


def _read_coding(text: bytes) -> Coding:
    coding = read_coding(text.decode("latin-1"))
    if coding is None:
        raise UnsupportedEncoding(text.decode("latin-1"))
    return coding


def _read_json_bytes(text: bytes | None) -> int | None:
    if not text:
        return None
    if not text.isdigit() or len(text) > MAX_DIGITS:
        raise MalformedRequestError(
            f"`Inference-Header-Content-Length` is not a number of bytes: {quote(text.decode('latin-1'))}"
        )
    return int(text)
