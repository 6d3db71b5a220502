"""A file of outcomes in parts that a server takes one by one, in memory that does not grow with the file."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from adaptact.errors import AdaptactError
from adaptact.installation import install_line
from adaptact.text import first_line
from serve.client.errors import InvalidFileError

CONTENT_TYPES = {
    ".jsonl": "application/x-ndjson",
    ".ndjson": "application/x-ndjson",
    ".csv": "text/csv",
    ".parquet": "application/vnd.apache.parquet",
}
MOST_ROWS = 5000
MOST_BYTES = 2**20
LONGEST_LINE = (16 << 10) + 2
"""A server refuses a line above 16 KiB; of a longer one no more than that is sent."""


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of a file as a file of their own."""

    content: bytes
    before: int
    """Rows of the file before these: what is added to a place in the part for its place in the file."""
    done: int
    """How much of the file has been read with this part; bytes, or rows of Parquet."""


def content_type(path: Path) -> str:
    """The type of the file after its name; raises `InvalidFileError` for one that is not known."""
    known = CONTENT_TYPES.get(path.suffix.lower())
    if known is None:
        raise InvalidFileError(
            f"`{path}` ends in none of {', '.join(CONTENT_TYPES)}, the forms that outcomes can have"
        )
    return known


def measure(path: Path) -> int:
    """How much there is to read, in the unit of `Part.done`; raises `InvalidFileError`."""
    try:
        if path.suffix.lower() == ".parquet":
            with path.open("rb") as stream:
                return int(_open_parquet(stream, path).metadata.num_rows)
        return path.stat().st_size
    except OSError as error:
        raise InvalidFileError(f"`{path}` cannot be read: {error.strerror or error}") from error


def read_parts(path: Path) -> Iterator[Part]:
    """The file in parts; raises `InvalidFileError` where it cannot be read."""
    try:
        with path.open("rb") as stream:
            if path.suffix.lower() == ".parquet":
                yield from _split_parquet(stream, path)
            else:
                header = _read_line(stream) if path.suffix.lower() == ".csv" else b""
                yield from _split_lines(stream, header)
    except OSError as error:
        raise InvalidFileError(f"`{path}` cannot be read: {error.strerror or error}") from error


def _split_lines(stream: BinaryIO, header: bytes) -> Iterator[Part]:
    """Parts of whole lines, each after the header; one part at least, so that a wrong header is found."""
    before = 0
    while True:
        lines: list[bytes] = []
        size = 0
        while len(lines) < MOST_ROWS and size < MOST_BYTES and (line := _read_line(stream)):
            lines.append(line)
            size += len(line)
        if lines or (header and not before):
            yield Part(header + b"".join(lines), before, stream.tell())
        if not lines:
            return
        before += len(lines)


def _read_line(stream: BinaryIO) -> bytes:
    """The next line with its end, cut where it is too long; empty at the end of the file."""
    line = stream.readline(LONGEST_LINE)
    rest = line
    while rest and not rest.endswith(b"\n"):
        rest = stream.readline(LONGEST_LINE)
    return line if line.endswith(b"\n") or not line else line + b"\n"


def _split_parquet(stream: BinaryIO, path: Path) -> Iterator[Part]:
    pyarrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    before = 0
    try:
        for batch in _open_parquet(stream, path).iter_batches(batch_size=MOST_ROWS, use_threads=False):
            content = io.BytesIO()
            parquet.write_table(pyarrow.Table.from_batches([batch]), content)
            yield Part(content.getvalue(), before, before + len(batch))
            before += len(batch)
    except pyarrow.ArrowException as error:
        raise InvalidFileError(f"`{path}` cannot be read as Parquet: {first_line(error)}") from error


def _open_parquet(stream: BinaryIO, path: Path) -> Any:
    try:
        pyarrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise AdaptactError(
            "Parquet needs `pyarrow`, which is not installed", install_line("parquet")
        ) from error
    try:
        return parquet.ParquetFile(stream)
    except (pyarrow.ArrowException, OSError) as error:
        raise InvalidFileError(f"`{path}` is no Parquet file: {first_line(error)}") from error
