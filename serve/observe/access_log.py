"""The access log: a line of JSON for each request, with the id that other logs have too.

Source of the trace's form: W3C 2021, Trace Context, https://www.w3.org/TR/trace-context/
"""

import logging
import os
import re
import secrets
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeAlias

import orjson

from serve.access.log_file import LogFile
from serve.engine.errors import StartupError

log = logging.getLogger("adaptact")
STANDARD_OUTPUT = Path("-")
MODE = 0o640
LOOK_SECONDS = 1.0
"""How often the file is looked for, which may have been moved away."""
REQUEST_ID = b"x-request-id"
TRACE_PARENT = b"traceparent"
# What a client may choose and a log may hold.
SAFE_ID = re.compile(rb"[A-Za-z0-9._:@/+=-]{1,128}")
TRACE = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")
INVALID_TRACE, INVALID_SPAN = b"0" * 32, b"0" * 16
LONGEST_PATH = 512
RequestLine: TypeAlias = tuple[str, str]
"""A request's method and its path."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The ids of a request: its own, and the trace and span that it belongs to, if any."""

    request_id: str
    trace_id: str = ""
    parent_id: str = ""


def identify_request(headers: Iterable[tuple[bytes, bytes]]) -> Identity:
    """The id that the client chose in a header, else its trace's, else a new one."""
    chosen = trace = span = b""
    for name, value in headers:
        if name == REQUEST_ID and SAFE_ID.fullmatch(value):
            chosen = value
        elif name == TRACE_PARENT and (match := TRACE.fullmatch(value)) and match[1] != INVALID_TRACE:
            trace, span = (b"", b"") if match[2] == INVALID_SPAN else (match[1], match[2])
    request_id = chosen or trace or secrets.token_hex(8).encode()
    return Identity(request_id.decode(), trace.decode(), span.decode())


class AccessLog:
    """Lines of JSON, in a file or on standard output.

    A line that cannot be written is lost, and the server's own log says so: no answer waits for a log.
    """

    def __init__(self, path: Path) -> None:
        """Open it; raises `StartupError` where that fails."""
        self._is_failing = False
        self._file: LogFile | None = None
        try:
            if path == STANDARD_OUTPUT:
                self._write: Callable[[bytes], object] = partial(os.write, sys.stdout.fileno())
            else:
                self._file = LogFile(path, MODE, LOOK_SECONDS)
                self._write = self._file.write
        except OSError as error:
            raise StartupError(f"the access log `{path}` cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def record(
        self, request: RequestLine, identity: Identity, caller: str, status: int, seconds: float
    ) -> None:
        """Append a line: when, who, which request, the status of its answer, and how long that took."""
        method, path = request
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
            self._write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
            self._is_failing = False
        except OSError as error:
            if not self._is_failing:
                log.error("the access log cannot be written, lines are lost: %s", error.strerror)
            self._is_failing = True
