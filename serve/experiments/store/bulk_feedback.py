"""Outcomes from JSON lines, CSV and Parquet, read in memory that does not grow with the file.

Each has the fields or columns `request_id` or `unit`, `metric`, `value`, and may have `time` and
`idempotency_key`. A line that is wrong is refused with its place; the others are stored. CSV has numbers as
text and empty cells for what is not given, JSON and Parquet have neither.
"""

import contextlib
import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from itertools import islice
from typing import Any, BinaryIO, Protocol, TypeAlias

from adaptact.installation import install_line
from serve.engine.errors import quote, quote_names
from serve.experiments.errors import FeedbackError
from serve.experiments.store.database import Store, now
from serve.experiments.store.feedback import Feedback, Receipt, RefusedFeedback, accept
from serve.experiments.units import unit_value

FIELDS = ("request_id", "unit", "metric", "value", "time", "idempotency_key")
MAX_LINE = 16 << 10  # bytes
MAX_GROUP = 256 << 20
"""Bytes of a Parquet file's row group, which is read as a whole."""
MAX_REASONS = 100
"""Refusals that are kept with their reasons; the rest is only counted."""

_BATCH = 1000
_NUMBER = re.compile(r"[+-]?([0-9]{1,20}(\.[0-9]{0,20})?|\.[0-9]{1,20})([eE][+-]?[0-9]{1,3})?")
_LATEST_SECONDS = 2.0**40
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Row: TypeAlias = Mapping[str, object]
Rows: TypeAlias = Iterator[tuple[int, Row | FeedbackError]]
"""Each row with its line, or its number in the file, counted from 1; or why it cannot be read."""


class Targets(Protocol):
    """Whose outcomes are reported: `RequestIds`."""

    def hash_unit(self, unit: str) -> bytes:
        """What is stored in the unit's place."""

    def read(self, text: str) -> tuple[int, bytes] | None:
        """The comparison's number and the unit of a request, where its id says them."""


@dataclass(frozen=True, slots=True)
class BulkReceipt:
    """What became of a file's outcomes; `reasons` are the first refusals, with lines counted from 1."""

    new: int
    duplicate: int
    refused: int
    reasons: tuple[RefusedFeedback, ...]
    unmatched: int
    metrics: Mapping[str, int]
    """Both as of `Receipt`."""


def accept_rows(store: Store, rows: Rows, targets: Targets, *, clock: Callable[[], int] = now) -> BulkReceipt:
    """Store what is valid and not there yet, in batches that are durable one by one.

    A file that is damaged in the middle is stored up to there, and the damage is the last refusal. Raises
    `FeedbackError` for one of which nothing can be read, and `StoreError`.
    """
    rows = _end_at_damage(rows)
    new = duplicate = refused = unmatched = 0
    reasons: list[RefusedFeedback] = []
    metrics: Counter[str] = Counter()
    while batch := list(islice(rows, _BATCH)):
        receipt = _accept_batch(store, batch, targets, clock)
        new, duplicate = new + receipt.new, duplicate + receipt.duplicate
        refused, unmatched = refused + len(receipt.refused), unmatched + receipt.unmatched
        reasons += receipt.refused[: MAX_REASONS - len(reasons)]
        metrics.update(receipt.metrics)
    return BulkReceipt(new, duplicate, refused, tuple(reasons), unmatched, metrics)


def _end_at_damage(rows: Rows) -> Rows:
    number = 0
    try:
        for number, row in rows:
            yield number, row
    except FeedbackError as error:
        if number == 0:
            raise
        yield number + 1, FeedbackError(f"nothing can be read from here on: {error}")


def parse_feedback(row: Row, targets: Targets) -> Feedback:
    """The outcome that a row of JSON says, and whose it is as far as it says so; raises `FeedbackError`."""
    if not isinstance(row, Mapping):
        raise FeedbackError(f"expected an object with {quote_names(FIELDS)}, got {quote(row)}")
    _check_fields(row)
    given = {name: row[name] for name in FIELDS if row.get(name) is not None}
    for name in ("metric", "value"):
        if name not in given:
            raise FeedbackError(f"expected `{name}`, which is missing")
    value: Any = given["value"]
    if not isinstance(value, int | float):
        raise FeedbackError(f"expected a number as value, got {quote(value)}")
    metric, request_id, key = (_as_text(given, name) for name in ("metric", "request_id", "idempotency_key"))
    number, unit = None, _read_unit(given["unit"], targets) if "unit" in given else None
    if request_id is not None and unit is None and (issued := targets.read(request_id)):
        number, unit = issued
    return Feedback(
        metric=metric or "",
        value=value,
        request_id=request_id,
        unit=unit,
        at=_read_time(given["time"]) if "time" in given else None,
        idempotency_key=key,
        number=number,
    )


def read_json_lines(stream: BinaryIO) -> Rows:
    """The rows of a file with one JSON object a line; empty lines are passed over."""
    for number, line in _each_line(stream):
        if isinstance(line, FeedbackError):
            yield number, line
        elif not line.isspace():
            yield number, _parse_json(line)


def read_csv(stream: BinaryIO) -> Rows:
    """The rows of a CSV file with a header; a cell has no newline, so that a quote left open costs one line.

    Raises `FeedbackError` for a header that is none of ours.
    """
    lines = ((number, _split_csv(line)) for number, line in _each_line(stream))
    _, header = next(lines, (1, []))
    if isinstance(header, FeedbackError):
        raise header
    names = [name.strip() for name in header]
    _check_columns(names)
    for number, cells in lines:
        if isinstance(cells, FeedbackError):
            yield number, cells
        elif cells:
            yield number, _read_cells(names, cells)


def read_parquet(stream: BinaryIO) -> Rows:
    """The rows of a Parquet file; needs pyarrow. Raises `FeedbackError` where it cannot be read."""
    try:
        pyarrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise FeedbackError(
            f"reading Parquet needs `pyarrow`, which is not installed: {install_line('parquet')}"
        ) from error
    try:
        file = parquet.ParquetFile(
            stream, thrift_string_size_limit=1 << 20, thrift_container_size_limit=1 << 20
        )
        _check_columns(file.schema_arrow.names)
        _check_groups(file.metadata)
        number = 0
        for batch in file.iter_batches(batch_size=_BATCH, use_threads=False):
            for row in _with_readable_times(pyarrow, batch).to_pylist():
                number += 1
                yield number, row
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise FeedbackError(f"expected a Parquet file: {quote(error)}") from error


def _accept_batch(
    store: Store, batch: list[tuple[int, Row | FeedbackError]], targets: Targets, clock: Callable[[], int]
) -> Receipt:
    places: list[int] = []
    valid: list[Feedback] = []
    refused: list[RefusedFeedback] = []
    for number, row in batch:
        try:
            if isinstance(row, FeedbackError):
                raise row
            valid.append(parse_feedback(row, targets))
            places.append(number)
        except FeedbackError as error:
            refused.append(RefusedFeedback(number, str(error)))
    receipt = accept(store, valid, clock=clock)
    refused += [RefusedFeedback(places[refusal.place], refusal.reason) for refusal in receipt.refused]
    refused.sort(key=lambda refusal: refusal.place)
    return replace(receipt, refused=tuple(refused))


def _check_fields(names: Iterable[object]) -> None:
    unknown = [name for name in islice(names, 100) if name not in FIELDS]
    if unknown:
        raise FeedbackError(f"unknown field {quote(unknown[0])}; expected {quote_names(FIELDS)}")


def _check_columns(names: list[str]) -> None:
    _check_fields(names)
    missing = {"metric", "value"} - set(names)
    if missing or len(set(names)) < len(names):
        what = f"the column `{min(missing)}` is missing" if missing else "a column appears twice"
        raise FeedbackError(f"expected columns of {quote_names(FIELDS)}: {what}")


def _as_text(given: Row, name: str) -> str | None:
    text = given.get(name)
    if text is not None and not isinstance(text, str):
        raise FeedbackError(f"expected text as `{name}`, got {quote(text)}")
    return text


def _read_unit(value: object, targets: Targets) -> bytes:
    text = unit_value(value)
    if text is None:
        raise FeedbackError(f"expected a unit as it is named in requests, got {quote(value)}")
    return targets.hash_unit(text)


def _read_time(value: object) -> int:
    """Microseconds since 1970."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LATEST_SECONDS:
        return round(value * 1_000_000)
    if isinstance(value, str) and len(value) <= 40:
        with contextlib.suppress(ValueError):
            value = datetime.fromisoformat(value)
    if isinstance(value, datetime) and value.tzinfo is not None:
        return (value - _EPOCH) // timedelta(microseconds=1)
    raise FeedbackError(
        f"expected a time such as `2026-11-29T12:00:00Z`, with its offset, or in seconds since 1970, "
        f"got {quote(value)}"
    )


def _each_line(stream: BinaryIO) -> Iterator[tuple[int, bytes | FeedbackError]]:
    """Each line with its number; one that is too long is never held whole."""
    number = 0
    while line := stream.readline(MAX_LINE + 1):
        number += 1
        if len(line) <= MAX_LINE:
            yield number, line
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(MAX_LINE)
        yield number, FeedbackError(f"expected a line of at most {MAX_LINE} bytes")


def _parse_json(line: bytes) -> Row | FeedbackError:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return FeedbackError(f"expected one JSON object a line: {error}")
    return row if isinstance(row, dict) else FeedbackError(f"expected a JSON object, got {quote(row)}")


def _split_csv(line: bytes | FeedbackError) -> list[str] | FeedbackError:
    if isinstance(line, FeedbackError):
        return line
    try:
        return next(csv.reader([line.decode("utf-8-sig").rstrip("\r\n")], strict=True), [])
    except (UnicodeDecodeError, csv.Error) as error:
        return FeedbackError(f"expected a line of CSV: {error}")


def _read_cells(header: list[str], cells: list[str]) -> Row | FeedbackError:
    if len(cells) != len(header):
        return FeedbackError(f"expected {len(header)} cells, got {len(cells)}")
    row: dict[str, object] = {name: cell for name, cell in zip(header, cells, strict=True) if cell}
    for name in ("value", "time"):
        cell = row.get(name)
        if isinstance(cell, str) and _NUMBER.fullmatch(cell.strip()):
            row[name] = float(cell)
    return row


def _check_groups(metadata: Any) -> None:
    largest = max((metadata.row_group(n).total_byte_size for n in range(metadata.num_row_groups)), default=0)
    if largest > MAX_GROUP:
        raise FeedbackError(
            f"expected row groups of at most {MAX_GROUP >> 20} MiB, got {largest >> 20} MiB; write the file "
            "with a smaller row_group_size"
        )


def _with_readable_times(pyarrow: Any, batch: Any) -> Any:
    """Nanoseconds, which Python's times do not have, are cut to microseconds."""
    place = batch.schema.get_field_index("time")
    if place < 0 or not pyarrow.types.is_timestamp(batch.schema.field(place).type):
        return batch
    kind = pyarrow.timestamp("us", tz=batch.schema.field(place).type.tz)
    return batch.set_column(place, "time", batch.column(place).cast(kind, safe=False))
