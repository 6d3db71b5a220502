"""`/console`: pages that show the server to people, from memory, and are clients of the API like any other.

The files hold no secret, and everybody may have them. What they show they ask the API for, with the key that
the reader gives. No path of a request reaches the file system.
"""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

import adaptact
from adaptact.languages.catalogue import LANGUAGES
from serve.protocol.compression import choose_coding

PREFIX = "/console"
INDEX = "index.html"
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}
COMPRESSED = (".html", ".js", ".css", ".json", ".svg", ".txt")
FOLDER = Path(__file__).parents[1] / "console"
PACKAGE = Path(adaptact.__file__).parent
# What the console shares with reports: the style, and the texts of other languages than English.
SHARED = {
    "tokens.css": PACKAGE / "style" / "tokens.css",
    **{f"{name}.json": PACKAGE / "languages" / "locales" / name / f"{name}.json" for name in LANGUAGES[1:]},
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True)
class ConsoleFile:
    """A file of the console, as it is answered."""

    content: bytes
    media_type: str
    is_compressed: bool

    @cached_property
    def compressed(self) -> bytes:
        """The content in gzip, made when it is first asked for."""
        return gzip.compress(self.content, mtime=0)

    @cached_property
    def digest(self) -> str:
        """What tells it from any other content."""
        return hashlib.sha256(self.content).hexdigest()[:32]


@cache
def read_console() -> Mapping[str, ConsoleFile]:
    """The files of the console by their paths below `/console`, of the kinds that a console has."""
    own = {path.relative_to(FOLDER).as_posix(): path for path in sorted(FOLDER.rglob("*"))}
    return {
        name: ConsoleFile(path.read_bytes(), MEDIA_TYPES[path.suffix], path.suffix in COMPRESSED)
        for name, path in (own | SHARED).items()
        if path.suffix in MEDIA_TYPES and path.is_file()
    }


def console_routes(console: Mapping[str, ConsoleFile]) -> APIRouter:
    """The routes of these files."""
    router = APIRouter(prefix=PREFIX, include_in_schema=False)

    @router.get("")
    @router.get("/")
    async def index(request: Request) -> Response:
        return _answer(console.get(INDEX), request)

    @router.get("/{path:path}")
    async def file(path: str, request: Request) -> Response:
        return _answer(console.get(path), request)

    return router


def _answer(file: ConsoleFile | None, request: Request) -> Response:
    if file is None:
        raise HTTPException(404, headers=HEADERS)
    accepted = request.headers.get("accept-encoding", "")
    is_compressed = file.is_compressed and choose_coding(accepted) == "gzip"
    tag = f'"{file.digest}{"-gzip" if is_compressed else ""}"'
    headers = {**HEADERS, "ETag": tag, "Vary": "Accept-Encoding"}
    if _has_current(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    if is_compressed:
        headers["Content-Encoding"] = "gzip"
    return Response(
        file.compressed if is_compressed else file.content, headers=headers, media_type=file.media_type
    )


def _has_current(known: str, tag: str) -> bool:
    """Whether the client has what this tag names, by its `If-None-Match`."""
    return tag in [each.strip().removeprefix("W/") for each in known.split(",")]
