"""The inferences of a comparison, each of which is read once: a look costs what is new, whatever there is.

Units are told apart within parts of some ten thousand inferences. A part is settled once its end is SETTLE
ago, as of `slices`. Until then what was written into it is counted again now and then, and it is read anew
where rows have come late. Nothing of this is stored: after a restart the first look reads everything once.
"""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from serve.experiments.statistics.samples import LogHistogram
from serve.experiments.store.aggregates import Answers, Requests, UnitEvents, bound_classes, shorten_unit
from serve.experiments.store.database import Store
from serve.experiments.store.request_queries import count_requests, select_requests
from serve.experiments.store.slices import FOREVER, SETTLE

CHECK = 10_000_000
"""Microseconds after which rows that have come late are looked for again."""

Row = Sequence[Any]
"""As of `select_requests`."""


@dataclass(slots=True)
class _AnswerSums:
    """The inferences of one variant in one part."""

    answered: set[int] = field(default_factory=set)
    """Units with an answer, by their short numbers, as are the others."""
    failed: set[int] = field(default_factory=set)
    with_nan: set[int] = field(default_factory=set)
    latency: LogHistogram = field(default_factory=lambda: LogHistogram.of([]))
    classes: Counter[int] = field(default_factory=Counter)

    def add(self, rows: Iterable[Row]) -> None:
        latencies = []
        for _, _, _, _, status, has_nan, latency, top1, unit in rows:
            number = shorten_unit(unit)
            if has_nan:
                self.with_nan.add(number)
            if status != 0:
                self.failed.add(number)
            elif number not in self.answered:
                # Of each unit its first answer only: those that follow are often like it.
                self.answered.add(number)
                latencies.append(latency)
                if top1 is not None:
                    self.classes[top1] += 1
        self.latency = self.latency.merge(LogHistogram.of(latencies))

    def read(self) -> Requests:
        units = len(self.answered | self.failed) if self.failed else len(self.answered)
        return Requests(
            errors=UnitEvents.of(units, self.failed),
            # NaN that JSON cannot hold is a failure, and an answer to count here.
            nans=UnitEvents.of(len(self.answered | self.with_nan), self.with_nan),
            latency=self.latency,
            top1=bound_classes(Counter(self.classes)),
        )


class _Part:
    """Inferences that follow each other."""

    def __init__(self, start: int) -> None:
        self.start = self.end = start
        """It holds what was written at `start` or later, and before `end`."""
        self.rows = 0
        self._sums: dict[Answers, _AnswerSums] = {}

    def add(self, rows: Sequence[Row]) -> None:
        by_answers: dict[Answers, list[Row]] = {}
        for row in rows:
            by_answers.setdefault(Answers(str(row[1]), bool(row[2]), bool(row[3])), []).append(row)
        for answers, of_answers in by_answers.items():
            self._sums.setdefault(answers, _AnswerSums()).add(of_answers)
        self.rows += len(rows)
        if rows:
            self.end = rows[-1][0] + 1

    def read(self) -> dict[Answers, Requests]:
        return {answers: sums.read() for answers, sums in self._sums.items()}


class RequestTally:
    """The inferences of one comparison so far; for one thread at a time."""

    def __init__(self, experiment: str, comparison: int, rows: int) -> None:
        """A part has at least so many rows, but for the last."""
        self.last_shadow_at: int | None = None
        """When the last inference in shadow was written."""
        self._key = experiment, comparison
        self._rows = rows
        self._settled: dict[Answers, Requests] = {}
        self._settled_rows = 0
        self._parts = [_Part(0)]
        self._checked_at = 0
        # Of the rows that were written last: when, and how many.
        self._recent: deque[tuple[int, int]] = deque()

    def update(self, store: Store, now: int) -> None:
        """Read what is new; raises `StoreError`."""
        if now - self._checked_at >= CHECK:
            self._checked_at = now
            self._forget_incomplete(store, now - SETTLE)
        while self._read_next(store):
            pass
        self._settle(now - SETTLE)

    @property
    def count(self) -> int:
        """How many inferences were read."""
        return self._settled_rows + sum(part.rows for part in self._parts)

    def read(self) -> dict[Answers, Requests]:
        """The inferences of each variant, those in shadow apart."""
        return merge_all([self._settled, *(part.read() for part in self._parts)])

    def _forget_incomplete(self, store: Store, since: int) -> None:
        """Forget the parts that are not settled where more was written into them than was read."""
        while self._recent and self._recent[0][0] < since:
            self._recent.popleft()
        end = self._parts[-1].end
        if end <= since:
            return
        with store.read() as connection:
            count = connection.execute(count_requests(*self._key, since, end)).scalar_one()
        if count != sum(rows for _, rows in self._recent):
            start = next(part.start for part in self._parts if part.end > since)
            self._parts = [*(part for part in self._parts if part.end <= since), _Part(start)]
            while self._recent and self._recent[-1][0] >= start:
                self._recent.pop()

    def _read_next(self, store: Store) -> bool:
        """Whether there may be more, after a part is full."""
        part = self._parts[-1]
        missing = self._rows - part.rows
        with store.read() as connection:
            following = select_requests(*self._key, part.end, FOREVER)
            rows: Sequence[Row] = connection.execute(following.limit(missing)).all()
            is_full = len(rows) == missing
            if is_full:  # with all that were written together with the last one
                last = rows[-1][0]
                together = connection.execute(select_requests(*self._key, last, last + 1)).all()
                rows = [*(row for row in rows if row[0] < last), *together]
        part.add(rows)
        self._recent.extend((at, sum(1 for _ in those)) for at, those in groupby(rows, key=_written_at))
        shadows = [row[0] for row in rows if row[2]]
        self.last_shadow_at = shadows[-1] if shadows else self.last_shadow_at
        if is_full:
            self._parts.append(_Part(part.end))
        return is_full

    def _settle(self, since: int) -> None:
        """Of parts that cannot change any more only the sums are kept."""
        while len(self._parts) > 1 and self._parts[0].end <= since:
            part = self._parts.pop(0)
            self._settled = merge_all([self._settled, part.read()])
            self._settled_rows += part.rows


def _written_at(row: Row) -> int:
    at: int = row[0]
    return at


def merge_all(parts: Iterable[dict[Answers, Requests]]) -> dict[Answers, Requests]:
    """All parts together."""
    whole: dict[Answers, Requests] = {}
    for part in parts:
        for key, requests in part.items():
            whole[key] = whole[key].merge(requests) if key in whole else requests
    return whole
