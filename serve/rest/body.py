"""Bodies: read within limits, and answered, compressed where the client asks for it."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fastapi import Response
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from serve.engine.errors import MalformedRequestError, quoted
from serve.protocol.compression import WORTH_BYTES, Coding, accepted_coding, compress, decompress, read_coding
from serve.protocol.json_text import Value, parse_object
from serve.rest.connection import CUT
from serve.rest.errors import BodyTooLarge, UnsupportedEncoding

JSON_BYTES = b"inference-header-content-length"
DIGITS = 18  # of a size that anybody can mean
# What a request may send that asks no model anything: settings, a model's configuration.
SMALL_BYTES = 2**20
# From here on zlib takes longer than handing the work to another thread and back.
THREAD_BYTES = 64 * 2**10


class Head(NamedTuple):
    """What a request's headers say of its body, and of the answer's."""

    announced: bytes
    json_bytes: int | None
    """How many bytes of the body, uncompressed, the client says are JSON; None if it says nothing."""
    coding: Coding | None
    accepted: Coding | None


def read_head(scope: Scope) -> Head:
    """The head; raises `UnsupportedEncoding`, or `MalformedRequestError` for a number that is none."""
    # A server gives names in lower case.
    headers: Mapping[bytes, bytes] = dict(scope["headers"])
    coding, accepted = headers.get(b"content-encoding"), headers.get(b"accept-encoding")
    return Head(
        headers.get(b"content-length", b""),
        _json_bytes(headers.get(JSON_BYTES)),
        None if coding is None or coding.lower() in (b"", b"identity") else _coding(coding),
        None if accepted is None else accepted_coding(accepted.decode("latin-1")),
    )


async def read_body(scope: Scope, head: Head, receive: Receive, limit_bytes: int) -> bytes | bytearray:
    """The whole body, decompressed, whatever its content type says.

    Raises `BodyTooLarge` as soon as the announced, the received or the decompressed bytes exceed the limit,
    and the web server's own error where that does not read on.
    """
    announced = head.announced
    if announced.isdigit() and (len(announced) > DIGITS or int(announced) > limit_bytes):
        raise BodyTooLarge(limit_bytes)
    message = await receive()
    whole: bytes | bytearray = message.get("body", b"")
    while message.get("more_body"):
        if CUT in scope:
            raise scope[CUT]
        if len(whole) > limit_bytes:
            raise BodyTooLarge(limit_bytes)
        message = await receive()
        whole = bytearray(whole) if isinstance(whole, bytes) else whole
        whole += message.get("body", b"")
    if message["type"] != "http.request":
        raise ClientDisconnect
    if len(whole) > limit_bytes:
        raise BodyTooLarge(limit_bytes)
    return whole if head.coding is None else await _decompressed(whole, head.coding, limit_bytes)


async def read_small_object(scope: Scope, receive: Receive) -> dict[str, Value]:
    """The JSON object that a request sends; an empty one for an empty body."""
    return parse_object(await read_body(scope, read_head(scope), receive, SMALL_BYTES))


async def _decompressed(body: bytes | bytearray, coding: Coding, limit_bytes: int) -> bytes:
    # Some kilobytes grow to megabytes, so only what is really short stays on the event loop.
    if len(body) * 16 < THREAD_BYTES:
        return decompress(body, coding, limit_bytes)
    return await asyncio.to_thread(decompress, body, coding, limit_bytes)


def _coding(text: bytes) -> Coding:
    coding = read_coding(text.decode("latin-1"))
    if coding is None:
        raise UnsupportedEncoding(text.decode("latin-1"))
    return coding


def _json_bytes(text: bytes | None) -> int | None:
    if not text:
        return None
    if not text.isdigit() or len(text) > DIGITS:
        raise MalformedRequestError(
            f"`Inference-Header-Content-Length` is not a number of bytes: {quoted(text.decode('latin-1'))}"
        )
    return int(text)


Headers = list[tuple[bytes, bytes]]
JSON = (b"content-type", b"application/json")
BINARY = (b"content-type", b"application/octet-stream")
# From here on zlib takes longer than handing the work to another thread and back.
ENCODE_IN_THREAD_BYTES = 16 * 2**10


class Answer(NamedTuple):
    """A body and its headers, all but its length."""

    body: bytes
    headers: Sequence[tuple[bytes, bytes]] = (JSON,)

    def all_headers(self) -> Headers:
        """The headers, with the body's length."""
        return [*self.headers, (b"content-length", b"%d" % len(self.body))]

    def response(self) -> Response:
        """The answer as the framework gives it."""
        response = Response(self.body)
        response.raw_headers = self.all_headers()
        return response


async def encoded(answer: Answer, coding: Coding | None) -> Answer:
    """The answer in the coding that the client likes best, or as it is where that is not worth it."""
    if coding is None or len(answer.body) < WORTH_BYTES:
        return answer
    if len(answer.body) < ENCODE_IN_THREAD_BYTES:
        shorter = compress(answer.body, coding)
    else:
        shorter = await asyncio.to_thread(compress, answer.body, coding)
    if shorter is None:
        return answer
    return Answer(shorter, [*answer.headers, (b"content-encoding", coding.encode())])
