"""The audit log read back, the newest line first, in pages; a file of any size and state costs no more."""

import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from serve.access.errors import AuditError
from serve.engine.errors import MalformedRequestError, quote

PIECE_BYTES = 64 * 2**10
MOST_BYTES = 4 * 2**20  # read for one page, however little is found in them
LONGEST_LINE = 16 * 2**10  # the server's own have a quarter at most
PLACE = re.compile(r"([0-9a-f]{1,16})-([0-9a-f]{1,16})")
MOVED = "`before` is no place in this audit log, which may have been moved away since; ask without it"


@dataclass(frozen=True, slots=True)
class AuditLine:
    """When, who, which action, and the status of its answer: none where the line was written before that."""

    time: str
    caller: str
    action: str
    status: int | None
    request_id: str


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Lines, the newest first."""

    entries: list[AuditLine]
    next: str | None
    """What to give as `before` for those before them; none where there are none."""
    damaged: int
    """How many lines among these could not be read, and are left out."""


def read_audit_page(path: Path, most: int, before: str = "") -> AuditPage:
    """At most so many lines from the end of the file, or from the place before.

    Fewer where those before them are damaged, which is not the end. Raises `AuditError` where the file cannot
    be read, and `MalformedRequestError` for a place that is none in it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:  # it was moved away, and nothing has happened since
        return AuditPage([], None, 0)
    except OSError as error:
        raise AuditError(f"the audit log cannot be read ({error.strerror})") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise AuditError("the audit log is no file that can be read back")
        end = status.st_size if not before else _read_place(before, status)
        return _read_page(descriptor, end, most, status.st_ino)
    except OSError as error:
        raise AuditError(f"the audit log cannot be read ({error.strerror})") from error
    finally:
        os.close(descriptor)


def _read_place(before: str, status: os.stat_result) -> int:
    match = PLACE.fullmatch(before)
    if match is None:
        raise MalformedRequestError(f"`before` is {quote(before)}, expected the `next` of an earlier answer")
    number, end = int(match[1], 16), int(match[2], 16)
    if number != status.st_ino or end > status.st_size:
        raise MalformedRequestError(MOVED)
    return end


def _read_page(descriptor: int, end: int, most: int, number: int) -> AuditPage:
    entries: list[AuditLine] = []
    damaged = 0
    begin = end
    for begin, line in _read_backwards(descriptor, end):
        entry = _parse_line(line)
        if entry is not None:
            entries.append(entry)
        elif line.strip():
            damaged += 1
        if len(entries) == most or end - begin > MOST_BYTES:
            break
    return AuditPage(entries, f"{number:x}-{begin:x}" if begin else None, damaged)


def _read_backwards(descriptor: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Each line before the place, the last one first, and where it begins; empty for a piece without any."""
    rest = b""  # the end of a line whose beginning is not read yet
    while end:
        begin = max(0, end - PIECE_BYTES)
        piece = os.pread(descriptor, end - begin, begin)
        # Of the first line there is more before the piece, unless that is where the file begins.
        first = piece.find(b"\n") + 1 if begin else 0
        if begin and not first:
            rest = (piece + rest)[:LONGEST_LINE]
            yield begin, b""
        else:
            yield from _split_backwards(piece[first:] + rest, begin + first)
            rest = piece[:first]
        end = begin


def _split_backwards(piece: bytes, begin: int) -> Iterator[tuple[int, bytes]]:
    place = begin + len(piece)
    for line in reversed(piece.splitlines(keepends=True)):
        place -= len(line)
        yield place, line


def _parse_line(line: bytes) -> AuditLine | None:
    """The line; None where it is damaged."""
    if len(line) > LONGEST_LINE:
        return None
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    texts = [content.get(name) for name in ("time", "caller", "action", "request_id")]
    status = content.get("status")
    if not all(isinstance(text, str) for text in texts) or not (status is None or type(status) is int):
        return None
    # A path that is no UTF-8 has left halves of characters, which no answer can hold.
    time, caller, action, request_id = (str(text).encode("utf-8", "replace").decode() for text in texts)
    return AuditLine(time, caller, action, status, request_id)
