"""Files of lines, tables and JSON, read from any line on: a shard is a part of the file in bytes."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

from serve.client.batch.columns import assign_columns
from serve.client.batch.offline.batches import (
    Batch,
    Instance,
    InstanceBatch,
    TableBatch,
    TableLayout,
    UnreadableRow,
)
from serve.client.batch.offline.shards import SHARD_BYTES, Shard, ShardSize, digest_file, read_stamp
from serve.client.batch.rows import check_header
from serve.client.batch.texts import PAIR, TEXT, find_texts, name_inputs, takes_texts
from serve.client.errors import InvalidFileError
from serve.protocol.descriptions import ModelMetadata

RECORD_BYTES = 16 * 2**20
SHOWN_BYTES = 60
HALVES = (b"\\ud", b"\\uD")
"""With these begins what JSON has for one half of a surrogate pair."""
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class JsonLines:
    """A value of JSON in each line, as an instance of a `:predict` request is; empty lines do not count."""

    path: Path
    stamp: tuple[int, int]

    def fingerprint(self) -> str:
        """The digest of its content."""
        return digest_file(self.path)

    def cut(self, size: ShardSize) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Shards of whole lines."""
        with _open(self.path) as stream:
            yield from _cut(_read_records(stream, self.path, is_table=False), size, 0, is_table=False)

    def read(self, shard: Shard, batch: int) -> Iterator[Batch]:
        """The values of the lines."""
        first = shard.first + 1
        for records in _read_shard(self.path, shard, batch, is_table=False):
            yield InstanceBatch(first, [_parse_json(record) for record in records])
            first += len(records)


@dataclass(frozen=True, slots=True)
class CsvTable:
    """A table whose first line names its columns; empty lines do not count."""

    path: Path
    stamp: tuple[int, int]
    header: Sequence[str]
    start: int
    """Where the first row begins."""
    positions: Mapping[str, Sequence[int]]
    """The positions of each input's columns; empty for texts."""
    model: ModelMetadata

    def fingerprint(self) -> str:
        """The digest of its content."""
        return digest_file(self.path)

    def cut(self, size: ShardSize) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Shards of whole rows."""
        with _open(self.path, self.start) as stream:
            yield from _cut(_read_records(stream, self.path, is_table=True), size, self.start, is_table=True)

    def read(self, shard: Shard, batch: int) -> Iterator[Batch]:
        """The texts of the rows' cells."""
        first, layout = shard.first + 1, TableLayout(self.header, self.model.inputs, self.positions)
        texts = None if self.positions else find_texts(self.path, self.header, self.model.name)
        for records in _read_shard(self.path, shard, batch, is_table=True):
            rows = _parse_table(records, len(self.header))
            if texts is None:
                yield TableBatch(first, layout, rows)
            else:
                yield InstanceBatch(first, [_choose_text(row, *texts) for row in rows])
            first += len(records)


def open_json_lines(path: Path, model: ModelMetadata) -> JsonLines:
    """The lines of the file; whether they fit the model shows as they are read."""
    return JsonLines(path, read_stamp(path))


def open_csv_table(path: Path, model: ModelMetadata) -> CsvTable:
    """The table, whose columns fit the model; raises `InvalidFileError`."""
    stamp = read_stamp(path)
    with _open(path) as stream:
        start, header = _read_header(stream, path)
    check_header(path, header)
    positions: Mapping[str, Sequence[int]] = {}
    if takes_texts(model) and not name_inputs(header, model):
        find_texts(path, header, model.name)
    else:
        positions = assign_columns(header, model)
    return CsvTable(path, stamp, header, start, positions, model)


def _read_header(stream: IO[bytes], path: Path) -> tuple[int, list[str]]:
    start = 0
    for record in _read_records(stream, path, is_table=True):
        text = record.removeprefix(BOM) if not start else record
        start += len(record)
        if not _is_empty(text, is_table=True):
            row = _parse_row(text)
            if isinstance(row, UnreadableRow):
                raise InvalidFileError(f"`{path}` cannot be read as a table with a header: {row.reason}")
            return start, row
    return start, []


def _open(path: Path, start: int = 0) -> IO[bytes]:
    try:
        stream = path.open("rb", buffering=2**20)
    except OSError as error:
        raise InvalidFileError(f"`{path}` cannot be read: {error.strerror}") from error
    stream.seek(start)
    return stream


def _cut(
    records: Iterator[bytes], size: ShardSize, start: int, *, is_table: bool
) -> Iterator[tuple[int, tuple[int, int]]]:
    """The rows of each shard, and where its bytes begin and end."""
    rows, end = 0, start
    for record in records:
        end += len(record)
        rows += not _is_empty(record, is_table=is_table)
        if rows and not rows % size.batch and (rows >= size.rows or end - start >= SHARD_BYTES):
            yield rows, (start, end)
            rows, start = 0, end
    if rows:
        yield rows, (start, end)


def _read_shard(path: Path, shard: Shard, batch: int, *, is_table: bool) -> Iterator[list[bytes]]:
    """The shard's records, so many at a time, without those that are empty."""
    start, end = (int(place) for place in shard.place)
    with _open(path, start) as stream:
        records = _read_records(stream, path, is_table=is_table, size=end - start)
        filled = (record for record in records if not _is_empty(record, is_table=is_table))
        while some := list(islice(filled, batch)):
            yield some


def _is_empty(record: bytes, *, is_table: bool) -> bool:
    return not record.strip(b"\r\n") if is_table else record.isspace()


def _read_records(
    stream: IO[bytes], path: Path, *, is_table: bool, size: int | None = None
) -> Iterator[bytes]:
    """The lines of so many bytes, or of all; of a table with those that a quoted cell goes on in."""
    lines = _read_lines(stream, path, size)
    for line in lines:
        if is_table and b'"' in line:
            yield _complete(line, lines, path)
        else:
            yield line


def _read_lines(stream: IO[bytes], path: Path, size: int | None) -> Iterator[bytes]:
    left = size
    while left is None or left > 0:
        line = stream.readline(RECORD_BYTES + 1)
        if not line:
            return
        if len(line) > RECORD_BYTES:
            raise InvalidFileError(
                f"`{path}` has a line of more than {RECORD_BYTES} bytes; lines end with \\n"
            )
        if left is not None:
            left -= len(line)
        yield line


def _complete(line: bytes, lines: Iterator[bytes], path: Path) -> bytes:
    """The line, and those after it that Python's reader of tables takes for the same row."""
    taken, total, is_over = [line], len(line), False

    def feed() -> Iterator[str]:
        nonlocal total, is_over
        yield _decode(line)
        for further in lines:
            taken.append(further)
            total += len(further)
            if total > RECORD_BYTES:
                raise InvalidFileError(f"`{path}`: a quoted cell has more than {RECORD_BYTES} bytes")
            yield _decode(further)
        is_over = True  # it is asked for a line only where a quoted cell goes on

    with suppress(csv.Error):  # up to there it is a row, which cannot be read
        next(csv.reader(feed()), None)
    if is_over:
        beginning = line[:SHOWN_BYTES].decode("utf-8", "replace").rstrip("\r\n")
        raise InvalidFileError(
            f"`{path}` ends in a quoted cell of the row that begins `{beginning}`; close its quote"
        )
    return b"".join(taken)


def _parse_table(records: Sequence[bytes], width: int) -> list[list[str] | UnreadableRow]:
    """The cells of each record, all in one go where none is broken."""
    try:
        rows = list(csv.reader([record.decode() for record in records]))
    except (UnicodeDecodeError, csv.Error):
        rows = []
    if len(rows) == len(records) and all(len(row) == width for row in rows):
        return list(rows)
    return [_require_width(_parse_row(record), width) for record in records]


def _require_width(row: list[str] | UnreadableRow, width: int) -> list[str] | UnreadableRow:
    if isinstance(row, UnreadableRow) or len(row) == width:
        return row
    return UnreadableRow(f"it has {len(row)} values, the header {width}")


def _parse_row(record: bytes) -> list[str] | UnreadableRow:
    try:
        return next(csv.reader([record.decode()]))
    except (UnicodeDecodeError, csv.Error) as error:
        return UnreadableRow(f"it cannot be read: {error}")


def _decode(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")


def _parse_json(record: bytes) -> Instance:
    try:
        value: Instance = json.loads(record.decode("utf-8-sig"))
        if any(half in record for half in HALVES):
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return UnreadableRow("it has one half of a surrogate pair, which is no text")
    except RecursionError:
        return UnreadableRow("it is nested too deeply")
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        return UnreadableRow(f"it is not JSON: {error}")
    except ValueError:  # Python's own limit
        return UnreadableRow("it has a number of too many digits")
    return value


def _choose_text(row: list[str] | UnreadableRow, place: int, pair: int | None) -> Instance:
    if isinstance(row, UnreadableRow):
        return row
    return row[place] if pair is None else {TEXT: row[place], PAIR: row[pair]}
