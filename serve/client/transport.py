"""How the server is reached: requests, limits and errors of httpx, for both clients."""

import asyncio
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from time import monotonic
from typing import TypeVar

import httpx

from serve.client.calls import JSON_BYTES, ClientCall, Reply
from serve.client.errors import (
    InvalidAddressError,
    InvalidHeaderError,
    InvalidInputError,
    ReplyTooLargeError,
    UnreachableError,
)
from serve.client.retry import Failure

REPLY_LIMIT_BYTES = 256 * 2**20
USER = re.compile(r"(?<=://)[^/?#]*@")
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HEADER_TEXT = re.compile(r"([!-~]([ \t!-~]*[!-~])?)?")
MOST_PORTS = 65_535
TIMEOUT_HINT = "allow more seconds: `--timeout`"
REFUSED_HINT = "start the server (`adaptact serve`), or give the address and port where it listens"
TLS_HINT = "if the server speaks TLS, its address begins with `https://`"
# What is behind a connection that failed, whether it would fail again, and what helps. The first that fits.
CAUSES: tuple[tuple[type[BaseException], bool, str], ...] = (
    (ssl.SSLCertVerificationError, True, "name the certificates to trust: `--ca server.pem`"),
    (ssl.SSLError, True, "does the server speak TLS? without it the address begins with `http://`"),
    (socket.gaierror, True, "no machine is known by that name: check the address"),
    (ConnectionRefusedError, False, REFUSED_HINT),
    (httpx.RemoteProtocolError, False, TLS_HINT),
    (ConnectionResetError, False, TLS_HINT),
)
OTHER_NAMES = (62, 64)  # OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH
NAME_HINT = "address the server by a name that is in its certificate"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Transport:
    """How the server is reached.

    `tls` holds the certificates to trust and to show; None trusts what the system does. `gzip_replies` asks
    for compressed replies, which pays on a slow network only. A reply beyond `reply_limit_bytes` is refused.
    """

    tls: ssl.SSLContext | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    gzip_replies: bool = False
    reply_limit_bytes: int = REPLY_LIMIT_BYTES
    connections: int = 100

    @property
    def limits(self) -> httpx.Limits:
        """How many connections are made, and kept."""
        return httpx.Limits(max_connections=self.connections, max_keepalive_connections=self.connections)

    def verify(self, url: str) -> ssl.SSLContext | bool:
        """httpx's `verify`; False without TLS, since reading the system's certificates takes a while."""
        return url.lower().startswith("https:") and (self.tls or True)

    def all_headers(self, api_key: str | None) -> dict[str, str]:
        """The headers of every request; raises `InvalidHeaderError` for what cannot be one."""
        headers = {"accept-encoding": "gzip, deflate" if self.gzip_replies else "identity"}
        if api_key is not None:
            # A key that was read from a file ends with a newline.
            headers["authorization"] = f"Bearer {api_key.strip()}"
            _check_header("the API key", "authorization", headers["authorization"])
        for name, text in self.headers.items():
            _check_header(f"header {name!r}", name, text)
        return {**headers, **self.headers}


class LimitedBody:
    """A reply's body as it comes, within a limit of bytes and one of time."""

    def __init__(self, limit_bytes: int, left_seconds: float | None) -> None:
        """The time begins now."""
        self.content = bytearray()
        self._limit_bytes = limit_bytes
        self._end = None if left_seconds is None else monotonic() + left_seconds

    def add(self, piece: bytes) -> None:
        """Append the piece; raises `ReplyTooLargeError` or `TimeoutError` beyond a limit."""
        if len(self.content) + len(piece) > self._limit_bytes:
            raise ReplyTooLargeError(
                f"the reply is larger than the limit of {self._limit_bytes} bytes, `reply_limit_bytes`"
            )
        self.content += piece
        # httpx counts the time of each read, and a server may send a byte a second.
        if self._end is not None and monotonic() > self._end:
            raise TimeoutError


def async_time_limit(seconds: float | None) -> AbstractAsyncContextManager[object]:
    """The block raises `TimeoutError` after so many seconds, wherever it waits."""
    return asyncio.timeout(seconds)


def time_limit(seconds: float | None) -> AbstractContextManager[object]:
    """No limit for the block: httpx limits each read of a blocking client, and `LimitedBody` all of them."""
    return nullcontext()


def base_url(url: str) -> str:
    """The server's address, without a user and password; raises `InvalidAddressError` for anything else."""
    address = USER.sub("", url)
    try:
        parts = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError):
        parts = httpx.URL()
    fits = parts.scheme in ("http", "https") and parts.host and (parts.port or 0) <= MOST_PORTS
    if not fits or "?" in url or "#" in url:
        raise InvalidAddressError(
            f"`{address}` is not the address of a server; expected one like `http://localhost:8000`"
        )
    return address.rstrip("/")


def basic_auth(url: str) -> tuple[str, str] | None:
    """The user and the password that the URL names; only the server is sent them."""
    parts = httpx.URL(url)
    return (parts.username, parts.password) if parts.userinfo else None


def make_request(
    client: httpx.Client | httpx.AsyncClient, url: str, call: ClientCall[T], left_seconds: float | None
) -> httpx.Request:
    """The call as httpx's request; raises `ClientError` where there can be none."""
    body = call.write(left_seconds)
    if client.is_closed:
        raise UnreachableError(f"`{url}` cannot be reached: this client is closed")
    headers = {} if call.method == "GET" else {"content-type": body.content_type}
    if body.json_bytes is not None:
        headers = {"content-type": "application/octet-stream", JSON_BYTES: str(body.json_bytes)}
    try:
        return client.build_request(
            call.method,
            url + call.path,
            content=body.content,
            headers={**headers, **call.headers},
            timeout=httpx.Timeout(left_seconds),
        )
    except httpx.InvalidURL as error:
        raise InvalidInputError(f"the model's name or version makes no URL: {error}") from error


def make_reply(response: httpx.Response, body: bytearray) -> Reply:
    """httpx's response as ours."""
    return Reply(response.status_code, {name.lower(): text for name, text in response.headers.items()}, body)


def describe_failure(error: httpx.RequestError | TimeoutError) -> Failure:
    """Why no reply came, how far the request went, and what may help."""
    if isinstance(error, TimeoutError):
        return Failure("the reply came too slowly", connected=True, timed_out=True, hint=TIMEOUT_HINT)
    reason = str(error) or type(error).__name__
    connected = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    if isinstance(error, httpx.TimeoutException):
        hint = TIMEOUT_HINT if connected else f"{REFUSED_HINT}; a firewall may be in between"
        return Failure(reason, connected, timed_out=True, hint=hint)
    causes = list(_list_causes(error))
    if any(getattr(cause, "verify_code", 0) in OTHER_NAMES for cause in causes):
        return Failure(reason, connected, lasting=True, hint=NAME_HINT)
    for kind, lasting, hint in CAUSES:
        if any(isinstance(cause, kind) for cause in causes):
            return Failure(reason, connected, lasting=lasting, hint=hint)
    return Failure(reason, connected)


def _list_causes(error: BaseException) -> Iterator[BaseException]:
    """The error and those behind it, as libraries wrap them."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _check_header(subject: str, name: str, text: str) -> None:
    if not (HEADER_NAME.fullmatch(name) and HEADER_TEXT.fullmatch(text)):
        raise InvalidHeaderError(f"{subject} cannot be sent: expected printable ASCII characters in one line")
