"""The access log: every request as one line of JSON, with an id by which it is found elsewhere too.

Source of the trace's form: W3C 2021, Trace Context, https://www.w3.org/TR/trace-context/
"""

import logging
import os
import re
import secrets
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import TypeAlias

import orjson

from serve.engine.errors import StartupError

log = logging.getLogger("adaptact")
STANDARD_OUTPUT = Path("-")
LOOK_SECONDS = 1.0
"""How often it is looked whether the file was moved away."""
REQUEST_ID = b"x-request-id"
TRACE_PARENT = b"traceparent"
# What a client may choose and a log may hold.
SAFE_ID = re.compile(rb"[A-Za-z0-9._:@/+=-]{1,128}")
TRACE = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")
NOBODY = (b"0" * 32, b"0" * 16)
LONGEST_PATH = 512
RequestLine: TypeAlias = tuple[str, str]
"""A request's method and its path."""


@dataclass(frozen=True, slots=True)
class Identity:
    """By what a request is known: its own id, and the trace and span that it belongs to, if any."""

    request_id: str
    trace_id: str = ""
    parent_id: str = ""


def identify_request(headers: Iterable[tuple[bytes, bytes]]) -> Identity:
    """The id that the client gave in a header, else its trace's, else a new one."""
    given = trace = parent = b""
    for name, value in headers:
        if name == REQUEST_ID and SAFE_ID.fullmatch(value):
            given = value
        elif name == TRACE_PARENT and (found := TRACE.fullmatch(value)) and found[1] != NOBODY[0]:
            trace, parent = (b"", b"") if found[2] == NOBODY[1] else (found[1], found[2])
    own = given or trace or secrets.token_hex(8).encode()
    return Identity(own.decode(), trace.decode(), parent.decode())


class AccessLog:
    """Lines of JSON, in a file or on standard output; a file that was moved away is begun anew.

    A line is written at once and in one piece, so that several processes can share a file. What cannot be
    written is lost, and the server's own log says so: an answer does not wait for a log.
    """

    def __init__(self, path: Path) -> None:
        """Open it; raises `StartupError` where that cannot be."""
        self._path = None if path == STANDARD_OUTPUT else path
        self._fails = False
        self._next_look = monotonic() + LOOK_SECONDS
        try:
            self._file = sys.stdout.fileno() if self._path is None else _open_file(self._path)
        except OSError as error:
            raise StartupError(f"the access log `{path}` cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """Close the file."""
        if self._path is not None:
            os.close(self._file)

    def record(
        self, asked: RequestLine, identity: Identity, caller: str, status: int, seconds: float
    ) -> None:
        """Append a line: when, who, what, what it was answered with, and how long that took."""
        method, path = asked
        line = {
            "time": datetime.now(UTC),
            "method": method,
            "path": path[:LONGEST_PATH],
            "status": status,
            "milliseconds": round(seconds * 1e3, 3),
            "caller": caller,
            "request_id": identity.request_id,
        }
        if identity.trace_id:
            line["trace_id"] = identity.trace_id
        if identity.parent_id:
            line["parent_id"] = identity.parent_id
        try:
            if self._path is not None and monotonic() >= self._next_look:
                self._follow(self._path)
            os.write(self._file, orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
            self._fails = False
        except OSError as error:
            if not self._fails:
                log.error("the access log cannot be written, lines are lost: %s", error.strerror)
            self._fails = True

    def _follow(self, path: Path) -> None:
        """Begin a new file where the old was moved away."""
        self._next_look = monotonic() + LOOK_SECONDS
        own = os.fstat(self._file)
        try:
            there = path.stat()
        except FileNotFoundError:
            there = None
        if there is None or (there.st_dev, there.st_ino) != (own.st_dev, own.st_ino):
            new = _open_file(path)
            os.close(self._file)
            self._file = new


def _open_file(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
