"""What the server did in the last hour, for those who begin to look, or look again, later.

Each worker notes every few seconds what it has done since, and keeps that for an hour, or what fits into
LARGEST bytes; an answer adds up all workers. What not all of them know, as before one took another's place,
is left out.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from time import monotonic, time
from typing import NamedTuple

import orjson

from serve.engine.errors import EngineError
from serve.engine.metrics import LATENCY_BOUNDS, SECOND_BOUNDS
from serve.shared.channel import Json
from serve.shared.live import LiveReader, Sums, subtract
from serve.shared.worker_group import WorkerGroup

HISTORY = "live history"  # what workers are asked
SECONDS = 5
SPAN_SECONDS = 3600
SLACK_SECONDS = 0.01  # a timer may fire a little early, when the moment before still lasts
LARGEST = 2 * 2**20
"""Bytes of a worker's notes: one takes some 110, and 110 for each version that answered meanwhile."""
LARGEST_PAGE = 2**20  # of one worker
MOST_NOTES = 720

log = logging.getLogger("adaptact")


class Note(NamedTuple):
    """What one worker did until a moment."""

    moment: int
    """In units of SECONDS since 1970, which are the same for all workers."""
    content: bytes


class Notes:
    """The notes of one worker by their moments, of which the oldest are dropped."""

    def __init__(self) -> None:
        """There is none yet."""
        self._notes: deque[Note] = deque()
        self.size = 0

    def add(self, note: Note) -> None:
        """Keep it; the clock may have been set back since the last one."""
        while self._notes and self._notes[-1].moment >= note.moment:
            self.size -= len(self._notes.pop().content)
        self._notes.append(note)
        self.size += len(note.content)
        oldest = note.moment - SPAN_SECONDS // SECONDS
        while self._notes[0].moment <= oldest or (self.size > LARGEST and len(self._notes) > 1):
            self.size -= len(self._notes.popleft().content)

    def list_after(self, moment: int, most: int) -> list[Note]:
        """The first ones after the moment: as many, or as many as are LARGEST_PAGE together; one at least."""
        found: list[Note] = []
        left = LARGEST_PAGE
        for note in self._notes:
            if note.moment <= moment:
                continue
            left -= len(note.content)
            if len(found) == most or (found and left < 0):
                break
            found.append(note)
        return found


class LiveHistory:
    """One worker's part; runs as long as the web server does."""

    def __init__(self, live: LiveReader, workers: WorkerGroup) -> None:
        """From now on every worker can ask for the notes of this one."""
        self.live = live
        self._workers = workers
        self._notes = Notes()
        self._before: Json = None
        self._noted = monotonic()
        self._task: asyncio.Task[None] | None = None
        workers.register(HISTORY, self._read_own)

    async def start(self) -> None:
        """Take notes from now on."""
        self._task = asyncio.create_task(self._note_again_and_again())

    async def stop(self, grace_seconds: float) -> None:
        """Take none any more."""
        if self._task is not None:
            self._task.cancel()

    async def note(self) -> None:
        """Note what was done since the last time."""
        totals, now = await self.live.read_own(), monotonic()
        done = subtract(totals, self._before)
        content = orjson.dumps({**done, "seconds": round(now - self._noted, 3)})
        self._before, self._noted = totals, now
        self._notes.add(Note(int(time() // SECONDS), content))

    async def read(self, after: int, most: int = MOST_NOTES) -> bytes:
        """What was done after a moment, in milliseconds since 1970, as JSON: the oldest first.

        `more` says whether the next moments may be asked for.
        """
        pages, has_more = await self._read_pages(after // (1000 * SECONDS), most)
        supervisor = await self.live.read_supervisor()
        entries = []
        for moment in _list_common(pages):
            entries.append(_add_up(moment, [page[moment] for page in pages], supervisor))
            await asyncio.sleep(0)  # others are answered in between
        return orjson.dumps(
            {
                "latency_ends": LATENCY_BOUNDS,
                "variant_latency_ends": SECOND_BOUNDS,
                "entries": entries,
                "more": bool(entries) and has_more,
            }
        )

    async def _read_pages(self, moment: int, most: int) -> tuple[list[dict[int, Json]], bool]:
        """The workers' next notes by moment, some in common if there are any, and whether more follow."""
        while True:
            answers = await self._workers.broadcast(HISTORY, moment, most)
            pages: list[dict[int, Json]] = [dict(answer["notes"]) for answer in answers]
            ends = [max(page) for page, answer in zip(pages, answers, strict=True) if answer["more"]]
            if not ends or not all(pages) or _list_common(pages):
                return pages, bool(ends)
            # Nothing before the last worker began, nor in the pages that end first, is known to all of them.
            moment = max(min(ends), max(map(min, pages)) - 1)

    async def _read_own(self, moment: int, most: int) -> Json:
        notes = self._notes.list_after(moment, most)
        read: list[tuple[int, Json]] = []
        for note in notes:
            read.append((note.moment, orjson.loads(note.content)))
            await asyncio.sleep(0)  # others are answered in between
        return {
            "notes": read,
            "more": bool(notes) and bool(self._notes.list_after(notes[-1].moment, 1)),
        }

    async def _note_again_and_again(self) -> None:
        while True:
            await asyncio.sleep(SECONDS - time() % SECONDS + SLACK_SECONDS)
            try:
                await self.note()
            except EngineError as error:  # the engine is about to end
                log.debug("what the server does is not noted now: %s", error)
            except Exception:  # the outermost frame of its task, which must go on
                log.exception("what the server does cannot be noted")


def _list_common(pages: Sequence[dict[int, Json]]) -> list[int]:
    """The moments that all workers know, in their order."""
    return sorted(set.intersection(*map(set, pages)) if pages else ())


def _add_up(moment: int, notes: Iterable[Json], supervisor: int | None) -> Json:
    """What all workers did until the moment, as a snapshot would count it from the moment before."""
    sums, memory, processor, seconds = Sums(), supervisor, 0.0, 0.0
    for note in notes:
        sums.add(note)
        memory = None if memory is None or note["memory"] is None else memory + note["memory"]
        processor += note["processor"]
        seconds = max(seconds, note["seconds"])
    return {
        "at": 1000 * SECONDS * moment,
        "seconds": seconds,
        "memory": memory,
        "processor": processor,
        **sums.describe(),
    }
