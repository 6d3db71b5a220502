"""Answers over HTTP from servers that need not be trusted: bounded in size, time and redirections."""

import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import httpx
import orjson

from serve.engine.errors import quote
from serve.sources.errors import SourceError

CONNECT_SECONDS, READ_SECONDS = 10.0, 30.0
MAX_REDIRECTS = 5
ANSWER_SECONDS = 60.0
"""For an answer that is read as a whole."""
SHOWN_ANSWER = 200


class WebClient:
    """A client for one server and for where that sends it."""

    def __init__(
        self, base: httpx.URL, *, authority: Path | None = None, auth: httpx.Auth | None = None
    ) -> None:
        """`authority` is a PEM file of further certificates to trust; `auth` is for the server alone."""
        self._base = base
        self._client = httpx.Client(
            auth=auth,
            verify=_make_tls(authority),
            timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
            follow_redirects=True,
            max_redirects=MAX_REDIRECTS,
            event_hooks={"request": [self._check_request]},
            headers={"Accept-Encoding": "identity", "User-Agent": "adaptact"},
        )

    def read(
        self, url: httpx.URL | str, limit_bytes: int, headers: Mapping[str, str] | None = None
    ) -> tuple[httpx.Response, bytes]:
        """The answer's head, and its content, of any status; raises `SourceError` beyond the limit."""
        content, began = b"", monotonic()
        with self.get(url, headers) as response:
            for piece in read_pieces(response):
                content += piece
                if len(content) > limit_bytes:
                    raise SourceError(f"{_name(url)} answers with more than {limit_bytes} bytes")
                if monotonic() - began > ANSWER_SECONDS:
                    raise SourceError(f"{_name(url)} answers too slowly: {len(content)} bytes so far")
        return response, content

    @contextmanager
    def get(self, url: httpx.URL | str, headers: Mapping[str, str] | None = None) -> Iterator[httpx.Response]:
        """The answer, whose content is not read yet; raises `SourceError` where there is none."""
        with _tell(url), self._client.stream("GET", url, headers=dict(headers or {})) as response:
            yield response

    def _check_request(self, request: httpx.Request) -> None:
        if request.url.scheme != "https" and self._base.scheme == "https":
            raise SourceError(
                f"{_name(self._base)} sends to `{request.url.scheme}://{request.url.host}`, without TLS"
            )


def read_pieces(response: httpx.Response) -> Iterator[bytes]:
    """The content as it arrives; raises `SourceError` where it is cut off."""
    with _tell(response.url):
        yield from response.iter_raw()


def parse_url(text: str) -> httpx.URL:
    """The URL; raises `SourceError` for a text that is none."""
    try:
        return httpx.URL(text)
    except httpx.InvalidURL as error:
        raise SourceError(f"{quote(text)} is no URL: {error}") from error


def parse_object(content: bytes, what: str) -> dict[str, object]:
    """The JSON object; raises `SourceError` for anything else."""
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise SourceError(f"{what} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise SourceError(f"{what} is no JSON object")
    return found


def require_plain(secret: str, name: str) -> None:
    """Raises `SourceError` for what no header can hold; errors of HTTP's own would show it."""
    if not secret.isascii() or not secret.isprintable():
        raise SourceError(f"{name} has a character that is not printable ASCII")


def require_fine(response: httpx.Response, content: bytes = b"") -> None:
    """Raises `SourceError` with what the server said, unless it said yes."""
    if response.is_success:
        return
    said = content[:SHOWN_ANSWER].decode("utf-8", "replace").strip()
    raise SourceError(
        f"{_name(response.url)} answers {response.status_code} {response.reason_phrase}"
        + (f": {quote(said)}" if said else "")
    )


@contextmanager
def _tell(url: httpx.URL | str) -> Iterator[None]:
    try:
        yield
    except httpx.TooManyRedirects as error:
        raise SourceError(f"{_name(url)} redirects more than {MAX_REDIRECTS} times") from error
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:
        reason = str(error) or type(error).__name__
        raise SourceError(f"{_name(url)} does not answer: {reason}") from error


def _name(url: httpx.URL | str) -> str:
    """The address without its query, which may hold a secret."""
    return quote(str(httpx.URL(url).copy_with(query=None, userinfo=b"")))


def _make_tls(authority: Path | None) -> ssl.SSLContext:
    # As of OpenSSL's own variables: SSL_CERT_FILE and SSL_CERT_DIR name what replaces the system's list.
    context = ssl.create_default_context()
    if not (os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")):
        import certifi  # noqa: PLC0415  httpx brings it

        context.load_verify_locations(certifi.where())
    if authority is not None:
        try:
            context.load_verify_locations(authority)
        except OSError as error:
            raise SourceError(f"certificates in `{authority}` cannot be read: {error}") from error
    return context
