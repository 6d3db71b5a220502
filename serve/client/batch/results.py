"""The file of all answers, which appears whole or not at all; a part of them is in memory at a time."""

import csv
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from adaptact.files import replace_file
from adaptact.installation import install_line
from serve.client.batch.columns import format_rows, list_columns
from serve.client.errors import ClientError, InvalidFileError, InvalidReplyError, ResultFileError
from serve.engine.datatypes import BFLOAT16
from serve.engine.signature import Array

ERROR = "error"
"""The output that says why a row has no answer; empty for one that has."""
KEPT = (ERROR, "file")
"""The outputs that a row without an answer has all the same."""
SUFFIXES = (".npz", ".csv", ".jsonl", ".parquet")
PIECE_ROWS = 8192

Table: TypeAlias = Mapping[str, Array]
"""An array for each output, all with the same number of rows."""
ReadParts: TypeAlias = Callable[[], Iterator[Table]]
"""The parts of the answers in order, from the first each time it is called."""


def write_results(path: Path, read_parts: ReadParts) -> None:
    """The file holds the answers of all parts, in the form that its name says.

    Raises `ResultFileError` where it cannot be written, and `InvalidReplyError` where the parts' shapes
    differ.
    """
    write = {".csv": _write_csv, ".npz": _write_npz, ".jsonl": _write_jsonl, ".parquet": _write_parquet}
    try:
        with replace_file(path) as temporary:
            write[path.suffix.lower()](temporary, partial(_read_alike, read_parts))
    except OSError as error:
        raise ResultFileError(f"`{path}` cannot be written: {error.strerror or error}") from error


def check_written_form(path: Path) -> None:
    """Raises `InvalidFileError` unless the name says a form that can be written here."""
    if path.suffix.lower() not in SUFFIXES:
        expected = f"{', '.join(SUFFIXES[:-1])} nor {SUFFIXES[-1]}"
        raise InvalidFileError(f"`{path}` ends in neither {expected}: the form of the result")
    if path.suffix.lower() == ".parquet":
        import_parquet()


def import_parquet() -> Any:
    """The module `pyarrow.parquet`; raises `ClientError` where it is not installed."""
    try:
        from pyarrow import parquet  # noqa: PLC0415  # most runs go without
    except ImportError as error:
        missing = ClientError("Parquet needs `pyarrow`, which is not installed")
        missing.hint = install_line("parquet")
        raise missing from error
    return parquet


def _read_alike(read_parts: ReadParts) -> Iterator[Table]:
    """The parts, each output in the dtype and the row's shape that the first part has."""
    expected: dict[str, tuple[str, tuple[int, ...]]] | None = None
    for part in read_parts():
        table = {name: _to_storable(array) for name, array in part.items()}
        kinds = {name: (str(array.dtype.kind), array.shape[1:]) for name, array in table.items()}
        if expected is None:
            expected = kinds
        if kinds != expected:
            changed = sorted({*kinds.items()} ^ {*expected.items()})
            raise InvalidReplyError(
                f"the batches' answers cannot be one table, since their shapes differ: {changed[:5]}"
            )
        yield table


def _write_npz(path: Path, read_parts: ReadParts) -> None:
    """An array for each output. numpy's own writer cannot name one `file`, and notes the time."""
    rows, dtypes, shapes = 0, dict[str, np.dtype[Any]](), dict[str, tuple[int, ...]]()
    for part in read_parts():
        for name, array in part.items():
            dtype = _find_written_dtype(array)
            dtypes[name] = np.promote_types(dtypes.get(name, dtype), dtype)
            shapes[name] = array.shape[1:]
        rows += _count_rows(part)
    with zipfile.ZipFile(path, "w") as archive:
        for name, dtype in dtypes.items():
            header = {
                "descr": np.lib.format.dtype_to_descr(dtype),
                "fortran_order": False,
                "shape": (rows, *shapes[name]),
            }
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as stream:
                np.lib.format.write_array_header_1_0(stream, header)
                for part in read_parts():
                    for piece in _cut(part):
                        stream.write(np.ascontiguousarray(piece[name], dtype).tobytes())


def _find_written_dtype(array: Array) -> np.dtype[Any]:
    """The dtype that numpy writes without code: texts take as many characters as the longest has."""
    if array.dtype.kind != "O":
        return array.dtype
    texts: list[str] = array.reshape(-1).tolist()
    return np.dtype(f"U{max(1, max(map(len, texts), default=1))}")


def _write_csv(path: Path, read_parts: ReadParts) -> None:
    """A line for each row; an output of several values a row has a column for each."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        for number, part in enumerate(read_parts()):
            if not number:
                writer.writerow(
                    c for name, array in part.items() for c in list_columns(name, array.shape[1:])
                )
            for piece in _cut(part):
                columns = [_format_column(name, array, piece) for name, array in piece.items()]
                for cells in zip(*columns, strict=True):
                    writer.writerow([text for part in cells for text in part])


def _format_column(name: str, array: Array, piece: Table) -> list[list[str]]:
    """The texts of each row, empty ones for a row without an answer."""
    rows = format_rows(array)
    if name not in KEPT:
        for place in np.flatnonzero(_find_unanswered(piece)):
            rows[place] = [""] * len(rows[place])
    return rows


def _write_jsonl(path: Path, read_parts: ReadParts) -> None:
    """An object for each row; what JSON lacks is `NaN` or `Infinity`, as Python, pandas and Spark read it."""
    with path.open("w", encoding="utf-8") as stream:
        for part in read_parts():
            for piece in _cut(part):
                columns = [_list_values(name, array, piece) for name, array in piece.items()]
                for values in zip(*columns, strict=True):
                    row = dict(zip(piece, values, strict=True))
                    stream.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")


def _list_values(name: str, array: Array, piece: Table) -> list[object]:
    """The value of each row, None for a row without an answer."""
    if array.dtype.kind == "f" and array.dtype.itemsize < 8:
        array = array.astype(np.str_).astype(np.float64)  # what is written shortest, and reads back the same
    values: list[object] = array.tolist()
    if name not in KEPT:
        for place in np.flatnonzero(_find_unanswered(piece)):
            values[place] = None
    return values


def _write_parquet(path: Path, read_parts: ReadParts) -> None:
    """A column for each output; one of several values a row holds lists."""
    parquet, writer = import_parquet(), None
    with path.open("wb") as stream:
        try:
            for part in read_parts():
                table = _make_arrow_table(part)
                writer = writer or parquet.ParquetWriter(stream, table.schema)
                writer.write_table(table)
        finally:
            if writer is not None:
                writer.close()


def _make_arrow_table(part: Table) -> Any:
    import pyarrow  # noqa: PLC0415  # it was looked for before the run began
    from pyarrow import compute  # noqa: PLC0415

    columns: dict[str, Any] = {}
    is_answered = pyarrow.array(~_find_unanswered(part))
    for name, array in part.items():
        column = pyarrow.array(array.reshape(-1), pyarrow.string() if array.dtype.kind == "O" else None)
        for axis in range(array.ndim - 1, 0, -1):
            if array.shape[axis]:
                column = pyarrow.FixedSizeListArray.from_arrays(column, array.shape[axis])
            else:
                column = pyarrow.array([[]] * prod(array.shape[:axis]), pyarrow.list_(column.type))
        if name not in KEPT and ERROR in part:
            column = compute.if_else(is_answered, column, pyarrow.scalar(None, column.type))
        columns[name] = column
    return pyarrow.table(columns)


def _cut(part: Table) -> Iterator[Table]:
    for start in range(0, _count_rows(part), PIECE_ROWS):
        yield {name: array[start : start + PIECE_ROWS] for name, array in part.items()}


def _count_rows(part: Table) -> int:
    return len(next(iter(part.values()))) if part else 0


def _find_unanswered(part: Table) -> NDArray[np.bool_]:
    """Which rows have no answer."""
    if ERROR not in part:
        return np.zeros(_count_rows(part), np.bool_)
    return np.not_equal(part[ERROR], "")


def _to_storable(array: Array) -> Array:
    """The array in a dtype that every form has: BF16 as the float32 of the same value."""
    if array.dtype == BFLOAT16:
        return (np.ascontiguousarray(array).view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return array
