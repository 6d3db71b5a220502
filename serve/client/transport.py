"""What both clients hand to httpx, and what they make of its answers and errors."""

import random
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from serve.client.calls import JSON_BYTES, Reply
from serve.client.errors import (
    InvalidAddressError,
    InvalidHeaderError,
    InvalidInputError,
    InvalidReplyError,
    UnreachableError,
)
from serve.client.retry import Failure, Send, Surroundings

WORLD = Surroundings(time.monotonic, time.time, random.random)
REPLY_LIMIT_BYTES = 2**31
USER = re.compile(r"(?<=://)[^/?#]*@")
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HEADER_TEXT = re.compile(r"([!-~]([ \t!-~]*[!-~])?)?")
MOST_PORTS = 65_535
TOO_SLOW = "the reply came too slowly"


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
        """What httpx takes for its trust; without TLS nothing, since reading the system's takes a while."""
        return url.lower().startswith("https:") and (self.tls or True)

    def all_headers(self, api_key: str | None) -> dict[str, str]:
        """The headers of every request; raises `InvalidHeaderError` for what cannot be one."""
        said = {"accept-encoding": "gzip, deflate" if self.gzip_replies else "identity"}
        if api_key is not None:
            # A key that was read from a file has a line's end behind it.
            said["authorization"] = f"Bearer {api_key.strip()}"
            _check_header("the API key", "authorization", said["authorization"])
        for name, text in self.headers.items():
            _check_header(f"header {name!r}", name, text)
        return {**said, **self.headers}


class LimitedBody:
    """A reply's body as it comes, within its limit and its time."""

    def __init__(self, limit_bytes: int, left_seconds: float | None) -> None:
        self.body = bytearray()
        self._limit_bytes = limit_bytes
        self._end = None if left_seconds is None else WORLD.clock() + left_seconds

    def add(self, piece: bytes) -> None:
        """Keep the piece; raises `InvalidReplyError`, or httpx's `ReadTimeout`."""
        self.body += piece
        if len(self.body) > self._limit_bytes:
            raise InvalidReplyError(f"the reply is larger than the limit of {self._limit_bytes} bytes")
        # httpx counts the time of each read, and a server may send a byte a second.
        if self._end is not None and WORLD.clock() > self._end:
            raise httpx.ReadTimeout(TOO_SLOW)


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
    """The user and the password that the URL names, which are told to the server and to nobody else."""
    parts = httpx.URL(url)
    return (parts.username, parts.password) if parts.userinfo else None


def make_request(client: httpx.Client | httpx.AsyncClient, url: str, step: Send) -> httpx.Request:
    """The step as httpx's request; raises `ClientError` where there can be none."""
    if client.is_closed:
        raise UnreachableError(f"`{url}` cannot be reached: this client is closed")
    headers = {"content-type": "application/json"}
    if step.body.json_bytes is not None:
        headers = {
            "content-type": "application/octet-stream",
            JSON_BYTES: str(step.body.json_bytes),
        }
    if step.method == "GET":
        headers = {}
    timeout = httpx.Timeout(step.left_seconds)
    try:
        return client.build_request(
            step.method, url + step.path, content=step.body.content, headers=headers, timeout=timeout
        )
    except httpx.InvalidURL as error:
        raise InvalidInputError(f"the model's name or version makes no URL: {error}") from error


def make_reply(response: httpx.Response, body: bytearray) -> Reply:
    """httpx's response as ours."""
    return Reply(response.status_code, {name.lower(): text for name, text in response.headers.items()}, body)


def describe_failure(error: httpx.RequestError) -> Failure:
    """What an error of httpx says of the request."""
    reason = str(error) or type(error).__name__
    connected = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    return Failure(reason, connected, isinstance(error, httpx.TimeoutException))


def _check_header(what: str, name: str, text: str) -> None:
    if not (HEADER_NAME.fullmatch(name) and HEADER_TEXT.fullmatch(text)):
        raise InvalidHeaderError(f"{what} cannot be sent: expected printable ASCII characters in one line")
