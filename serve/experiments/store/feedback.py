"""Outcomes that clients report: checked, stored once however often they are sent, durable when acknowledged.

Of a request there is one outcome of each metric: of several, that with the latest time counts, and the others
stay stored, so that a correction leaves a trace. Of a unit there are as many as were reported: each is an
event of its own. Which one a report is, its idempotency key says. Without a key it is what it says: the same
target, metric, value and time are one report; two events of one unit that are equal need keys or times.

A request whose id the server issued is joined with its unit by the id itself. Any other is joined with stored
inferences when it is read (`summaries`), so its outcome may arrive before the inference is written; it counts
for no unit if that was not kept.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import sqlalchemy as sa

from serve.engine.errors import quote
from serve.experiments.errors import FeedbackError
from serve.experiments.store.database import Store, now
from serve.experiments.store.records import MAX_REQUEST_ID, Row
from serve.experiments.store.tables import inferences, outcomes
from serve.experiments.units import DIGEST_BYTES

MAX_ITEMS = 10_000
"""In one call of `accept`."""
MAX_KEY = 200  # characters
MAX_VALUE = 1e15
"""The greatest magnitude of an outcome: with it no sum over a unit or a variant loses its meaning."""
EARLIEST = 946_684_800_000_000
"""The year 2000 in microseconds: an earlier time is a mistake, such as seconds for microseconds."""
MAX_AHEAD = 300_000_000
"""Microseconds that a client's clock may be ahead of this one."""

_METRIC = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TRANSACTION = 1000  # outcomes written at once, so that other writers wait for a short time only


@dataclass(frozen=True, slots=True)
class Feedback:
    """One outcome: of a unit (its hash), or of a request, whose id may say which unit's it is."""

    metric: str
    value: float
    request_id: str | None = None
    unit: bytes | None = None
    at: int | None = None
    """When it happened, in microseconds since 1970; None for when it is received."""
    idempotency_key: str | None = None
    number: int | None = None
    """Of the request's comparison, where its id says that and the unit."""


@dataclass(frozen=True, slots=True)
class RefusedFeedback:
    """Why an outcome is not stored; `place` counts from 0 in what was sent."""

    place: int
    reason: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of the outcomes of one call: every one that is `new` or `duplicate` is on the disk."""

    new: int = 0
    duplicate: int = 0
    refused: tuple[RefusedFeedback, ...] = ()
    unmatched: int = 0
    """Of those that are stored: how many are of requests of which nothing is known, and so count for none."""
    metrics: Mapping[str, int] = field(default_factory=dict, compare=False)
    """Of those that are stored: how many are of each metric."""


def accept(store: Store, feedback: Sequence[Feedback], *, clock: Callable[[], int] = now) -> Receipt:
    """Store what is valid and not there yet; when this returns, it survives kill -9 and a power failure.

    Raises `FeedbackError` for more than MAX_ITEMS, and `StoreError`: some outcomes may then be stored, and
    sending all again is harmless.
    """
    if len(feedback) > MAX_ITEMS:
        raise FeedbackError(
            f"expected at most {MAX_ITEMS} outcomes at once, got {len(feedback)}; send them in parts"
        )
    received_at = clock()
    rows: dict[bytes, tuple[int, Row]] = {}
    refused: list[RefusedFeedback] = []
    repeated: list[tuple[int, Row]] = []
    for place, item in enumerate(feedback):
        try:
            check(item, received_at)
        except FeedbackError as error:
            refused.append(RefusedFeedback(place, str(error)))
            continue
        row = _make_row(item, received_at)
        if rows.setdefault(row["key"], (place, row))[0] != place:
            repeated.append((place, row))
    inserted, known = _insert(store, [row for _, row in rows.values()], clock)
    again = repeated + [entry for key, entry in rows.items() if key not in inserted]
    known |= {key: row for key, (_, row) in rows.items() if key in inserted}
    duplicates = [row for _, row in again if _is_same(row, known[row["key"]])]
    refused += [
        RefusedFeedback(place, "the idempotency key stands for another outcome")
        for place, row in again
        if not _is_same(row, known[row["key"]])
    ]
    refused.sort(key=lambda refusal: refusal.place)
    stored = [*(rows[key][1] for key in inserted), *duplicates]
    unmatched, metrics = _count_unmatched(store, stored), Counter(row["metric"] for row in stored)
    return Receipt(len(inserted), len(duplicates), tuple(refused), unmatched, metrics)


def check(item: Feedback, received_at: int) -> None:
    """Raises `FeedbackError` where the outcome cannot be stored, with what was expected."""
    if (item.request_id is None) == (item.unit is None or item.number is not None):
        raise FeedbackError("expected a request id or a unit, one of them")
    if item.request_id is not None:
        _check_text("request id", item.request_id, MAX_REQUEST_ID)
    if item.unit is not None and len(item.unit) != DIGEST_BYTES:
        raise FeedbackError(f"expected a unit's hash of {DIGEST_BYTES} bytes, got {len(item.unit)}")
    if not isinstance(item.metric, str) or not _METRIC.fullmatch(item.metric):
        raise FeedbackError(
            f"expected a metric's name of up to 64 letters, digits and `._-`, got {quote(item.metric)}"
        )
    if item.idempotency_key is not None:
        _check_text("idempotency key", item.idempotency_key, MAX_KEY)
    _check_numbers(item, received_at)


def _check_numbers(item: Feedback, received_at: int) -> None:
    if not isinstance(item.value, int | float) or not abs(item.value) <= MAX_VALUE:
        raise FeedbackError(f"expected a number between ±{MAX_VALUE:g} as value, got {quote(item.value)}")
    if item.at is None:
        return
    if not isinstance(item.at, int) or item.at < EARLIEST:
        raise FeedbackError(f"expected a time after the year 2000, got {quote(item.at)}")
    if item.at > received_at + MAX_AHEAD:
        ahead = (item.at - received_at) / 1e6
        raise FeedbackError(f"expected a time that has come, got one that is {ahead:.6g} s ahead")


def _check_text(name: str, text: object, longest: int) -> None:
    """Printable text only: no database stores a NUL or half of a surrogate pair alike."""
    if not isinstance(text, str) or not 0 < len(text) <= longest or not text.isprintable():
        raise FeedbackError(f"expected a printable {name} of 1 to {longest} characters, got {quote(text)}")


def _make_row(item: Feedback, received_at: int) -> Row:
    value = float(item.value)
    return {
        "key": _hash_key(item, value),
        "request_id": item.request_id,
        "unit": item.unit,
        "number": item.number,
        "metric": item.metric,
        "value": value,
        "event_at": received_at if item.at is None else item.at,
        "received_at": received_at,
        "is_timed": item.at is not None,
    }


def _hash_key(item: Feedback, value: float) -> bytes:
    if item.idempotency_key is not None:
        text = f"key {item.idempotency_key}"
    else:
        text = f"is {item.request_id!r} {item.unit!r} {item.metric} {value.hex()} {item.at}"
    return hashlib.sha256(text.encode()).digest()[:16]


def _is_same(row: Row, stored: Row) -> bool:
    """Whether a report with a known key says what is stored; one without a time agrees with any."""
    names = ("request_id", "unit", "metric", "value", *(("event_at",) if row["is_timed"] else ()))
    return all(row[name] == stored[name] for name in names)


def _insert(store: Store, rows: list[Row], clock: Callable[[], int]) -> tuple[set[bytes], dict[bytes, Row]]:
    """The keys that are new, and what is stored under the others."""
    # In one order, so that transactions with the same keys do not lock each other out.
    rest = iter(sorted(rows, key=lambda row: row["key"]))
    inserted: set[bytes] = set()
    known: dict[bytes, Row] = {}
    while batch := list(islice(rest, _TRANSACTION)):
        with store.write() as connection:
            # The time now that it has the lock, which it may have waited for: looks find what is new by it.
            received_at = clock()
            new = _insert_batch(connection, store, [{**row, "received_at": received_at} for row in batch])
            inserted |= new
            known.update(_read_stored(connection, [row["key"] for row in batch if row["key"] not in new]))
    return inserted, known


def _insert_batch(connection: sa.Connection, store: Store, batch: list[Row]) -> set[bytes]:
    statement = store.insert(outcomes).on_conflict_do_nothing().returning(outcomes.c.key)
    values = [{column.name: row[column.name] for column in outcomes.c} for row in batch]
    return {bytes(key) for key in connection.execute(statement, values).scalars()}


def _read_stored(connection: sa.Connection, keys: list[bytes]) -> Iterator[tuple[bytes, dict[str, Any]]]:
    if not keys:
        return
    for row in connection.execute(sa.select(outcomes).where(outcomes.c.key.in_(keys))).mappings():
        yield bytes(row["key"]), dict(row)


def _count_unmatched(store: Store, rows: list[Row]) -> int:
    """How many of the rows are of requests whose ids say nothing, and of which no inference is stored."""
    named = [row["request_id"] for row in rows if row["unit"] is None]
    rest = iter(sorted(set(named)))
    known: set[str] = set()
    while batch := list(islice(rest, _TRANSACTION)):
        query = sa.select(inferences.c.request_id).distinct().where(inferences.c.request_id.in_(batch))
        with store.read() as connection:
            known.update(connection.execute(query).scalars())
    return sum(request_id not in known for request_id in named)
