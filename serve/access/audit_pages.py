"""The audit log read back, the newest action first, in pages; a file of any size and state costs no more."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from serve.access.audit_files import AuditFile, Content, list_audit_files, open_audit_file
from serve.access.errors import AuditError
from serve.engine.errors import MalformedRequestError, quote

PIECE_BYTES = 64 * 2**10
MOST_BYTES, MOST_LINES = 4 * 2**20, 50_000  # read for one page, however little is found in them
ANSWERS_BYTES = 256 * 2**10
"""So far behind a page it is looked for the answers to its actions."""
LONGEST_LINE = 16 * 2**10  # the server's own have a quarter at most
PLACE = re.compile(r"([0-9a-f]{1,16})-([0-9a-f]{1,15}|end)")  # no file is longer
END = "end"
MOVED = "`before` is no place in this audit log, which may have been moved away since; ask without it"
LARGEST_STATUS = 999
REFUSED = {"HTTP": (401, 403, 429), "gRPC": (7, 8, 16)}

Outcome: TypeAlias = Literal["done", "refused", "failed", "unanswered"]


@dataclass(frozen=True, slots=True)
class AuditAction:
    """When, who, which action, and the status of its answer: none where there is none, or not yet."""

    time: str
    caller: str
    action: str
    status: int | None
    request_id: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Actions, the newest first."""

    entries: list[AuditAction]
    next: str | None
    """What to give as `before` for those before them; none where there are none."""
    damaged: int = 0
    """How many lines among these could not be read, and are left out."""
    reached: str | None = None
    """When the oldest line was written that was looked at: with a filter few of them may be here."""
    unread: list[str] = field(default_factory=list)
    """The files that could not be read, or not whole."""


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which actions are wanted: with all the words in caller, action and request id, and of the outcome."""

    text: str = ""
    outcome: Outcome | None = None

    def accepts(self, action: AuditAction) -> bool:
        """Whether the action is wanted; letters may be capital or not."""
        fields = f"{action.caller}\n{action.action}\n{action.request_id}".casefold()
        return (self.outcome is None or action.outcome == self.outcome) and all(
            word in fields for word in self.text.casefold().split()
        )


EVERYTHING = AuditFilter()


def read_audit_page(path: Path, most: int, before: str = "", wanted: AuditFilter = EVERYTHING) -> AuditPage:
    """At most so many actions from the end of the log, or from the place before, through all of its files.

    Fewer where those before them are not wanted or are damaged, which is not the end. Raises `AuditError`
    where the file cannot be read, and `MalformedRequestError` for a place that is none in it.
    """
    files = list_audit_files(path)
    place = _find_place(files, before) if before else (0, None)
    return _Reading(files, most, wanted).read(*place)


def _find_place(files: list[AuditFile], before: str) -> tuple[int, int | None]:
    """Which of the files it is in, and where; None for its end."""
    match = PLACE.fullmatch(before)
    if match is None:
        raise MalformedRequestError(f"`before` is {quote(before)}, expected the `next` of an earlier answer")
    number = int(match[1], 16)
    position = next((place for place, file in enumerate(files) if file.number == number), None)
    if position is None:
        raise MalformedRequestError(MOVED)
    return position, None if match[2] == END else int(match[2], 16)


class _Reading:
    """One page that is read."""

    def __init__(self, files: list[AuditFile], most: int, wanted: AuditFilter) -> None:
        self._files = files
        self._most = most
        self._wanted = wanted
        self._answers: Counter[tuple[str, str, str]] = Counter()
        """Of actions whose answer was read, and whose line before it is still to come."""
        self._entries: list[AuditAction] = []
        self._unread: list[str] = []
        self._damaged = 0
        self._left = MOST_BYTES
        self._reached: str | None = None

    def read(self, position: int, end: int | None) -> AuditPage:
        """The page before the place in the file of this position."""
        self._note_answers(position, end)
        following = None
        for number, file in enumerate(self._files[position:], position):
            begin = self._read_file(file, end, is_present=number == 0)
            end = None
            if begin:
                following = f"{file.number:x}-{begin:x}"
            elif number + 1 < len(self._files):
                following = f"{self._files[number + 1].number:x}-{END}"
            else:
                following = None
            if begin or self._is_full():
                break
        return AuditPage(self._entries, following, self._damaged, self._reached, self._unread)

    def _is_full(self) -> bool:
        return len(self._entries) >= self._most or self._left <= 0

    def _read_file(self, file: AuditFile, end: int | None, *, is_present: bool) -> int:
        """Read the file before its end; where the page ends in it, 0 if that is where it begins."""
        try:
            with open_audit_file(file) as content:
                if not content.is_whole:
                    self._unread.append(file.path.name)
                if end is not None and end > content.size:
                    raise MalformedRequestError(MOVED)
                return self._read_lines(content, content.size if end is None else end)
        except AuditError:
            if is_present:
                raise
            self._unread.append(file.path.name)
            return 0

    def _note_answers(self, position: int, end: int | None) -> None:
        """What comes after the place may be the answer to an action before it, also in the file after it."""
        after = b""
        with suppress(AuditError):
            if end is not None:
                with open_audit_file(self._files[position]) as content:
                    after = content.read(end, ANSWERS_BYTES)
            if position and len(after) < ANSWERS_BYTES:
                with open_audit_file(self._files[position - 1]) as content:
                    after += content.read(0, ANSWERS_BYTES - len(after))
        opened: Counter[tuple[str, str, str]] = Counter()
        for line in after.splitlines()[:MOST_LINES]:
            action = _parse_line(line)
            if action is not None and action.status is None:
                opened[_identify(action)] += 1
            elif action is not None and action.outcome != "refused":
                key = _identify(action)
                counter, change = (opened, -1) if opened[key] else (self._answers, 1)
                counter[key] += change

    def _read_lines(self, content: Content, end: int) -> int:
        begin = end
        for number, (begin, line) in enumerate(_read_backwards(content, end)):
            action = _parse_line(line)
            if action is not None:
                self._reached = action.time
                self._add(action)
            elif line.strip():
                self._damaged += 1
            if len(self._entries) >= self._most or end - begin >= self._left or number >= MOST_LINES:
                break
        self._left -= end - begin
        return begin

    def _add(self, action: AuditAction) -> None:
        """Each action that was done has two lines, of which the first has no status."""
        key = _identify(action)
        if action.status is None and self._answers[key]:
            self._answers[key] -= 1
            return
        if action.status is not None and action.outcome != "refused":
            self._answers[key] += 1
        if self._wanted.accepts(action):
            self._entries.append(action)


def _identify(action: AuditAction) -> tuple[str, str, str]:
    return action.request_id, action.caller, action.action


def _read_backwards(content: Content, end: int) -> Iterator[tuple[int, bytes]]:
    """Each line before the place, the last one first, and where it begins; empty for a piece without any."""
    rest = b""  # the end of a line whose beginning is not read yet
    while end:
        begin = max(0, end - PIECE_BYTES)
        piece = content.read(begin, end - begin)
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


def _parse_line(line: bytes) -> AuditAction | None:
    """The line; None where it is damaged."""
    if len(line) > LONGEST_LINE or not line.startswith(b"{"):
        return None
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    texts = [content.get(name) for name in ("time", "caller", "action", "request_id")]
    status = content.get("status")
    is_status = status is None or (type(status) is int and 0 <= status <= LARGEST_STATUS)
    if not is_status or not all(isinstance(text, str) for text in texts):
        return None
    # A path that is no UTF-8 has left halves of characters, which no answer can hold.
    time, caller, action, request_id = (str(text).encode("utf-8", "replace").decode() for text in texts)
    return AuditAction(time, caller, action, status, request_id, _judge(action, status))


def _judge(action: str, status: int | None) -> Outcome:
    is_grpc = action.startswith("gRPC ")
    if status is None or (status == 0 and not is_grpc):
        return "unanswered"
    if status in REFUSED["gRPC" if is_grpc else "HTTP"]:
        return "refused"
    is_done = status == 0 if is_grpc else 0 < status < 400
    return "done" if is_done else "failed"
