"""Reading a request's body within a limit: the only place that reads one."""

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from serve.engine.errors import MalformedRequestError, quoted
from serve.rest.errors import BodyTooLarge, UnsupportedEncoding

JSON_BYTES = b"inference-header-content-length"
DIGITS = 18  # of a size that anybody can mean


async def read_body(scope: Scope, receive: Receive, limit_bytes: int) -> bytes | bytearray:
    """The whole body, whatever its content type says.

    Raises `BodyTooLarge` as soon as the announced or the received bytes exceed the limit.
    """
    if _header(scope, b"content-encoding") not in (b"", b"identity"):
        raise UnsupportedEncoding
    announced = _header(scope, b"content-length")
    if announced.isdigit() and (len(announced) > DIGITS or int(announced) > limit_bytes):
        raise BodyTooLarge(limit_bytes)
    message = await receive()
    whole: bytes | bytearray = message.get("body", b"")
    while message.get("more_body"):
        if len(whole) > limit_bytes:
            raise BodyTooLarge(limit_bytes)
        message = await receive()
        whole = bytearray(whole) if isinstance(whole, bytes) else whole
        whole += message.get("body", b"")
    if message["type"] != "http.request":
        raise ClientDisconnect
    if len(whole) > limit_bytes:
        raise BodyTooLarge(limit_bytes)
    return whole


def json_bytes(scope: Scope) -> int | None:
    """How many bytes of the body the client says are JSON; None if it says nothing."""
    text = _header(scope, JSON_BYTES)
    if not text:
        return None
    if not text.isdigit() or len(text) > DIGITS:
        raise MalformedRequestError(
            f"`Inference-Header-Content-Length` is not a number of bytes: {quoted(text.decode('latin-1'))}"
        )
    return int(text)


def _header(scope: Scope, name: bytes) -> bytes:
    """A header's value, or nothing; a server gives names in lower case."""
    for found, value in scope["headers"]:
        if found == name:
            return bytes(value)
    return b""
