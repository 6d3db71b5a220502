"""The file of all answers, which appears whole or not at all."""

import csv
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from adaptact.files import replace_file
from serve.client.batch.columns import format_rows, list_columns
from serve.client.errors import InvalidFileError
from serve.engine.datatypes import BFLOAT16
from serve.engine.signature import Array


def write_results(path: Path, table: Mapping[str, Array]) -> None:
    """The file holds the answers, as .npz or .csv after its name; raises `InvalidFileError`."""
    write = write_csv if path.suffix.lower() == ".csv" else write_npz
    try:
        with replace_file(path) as temporary:
            write(temporary, {name: _to_storable(array) for name, array in table.items()})
    except OSError as error:
        raise InvalidFileError(f"`{path}` cannot be written: {error.strerror}") from error


def write_npz(path: Path, table: Mapping[str, Array]) -> None:
    """An array for each output. numpy's own writer cannot name one `file`, and notes the time."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in table.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asanyarray(array), allow_pickle=False)


def write_csv(path: Path, table: Mapping[str, Array]) -> None:
    """A line for each row; an output of several values a row has a column for each."""
    header = [column for name, array in table.items() for column in list_columns(name, array.shape[1:])]
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        for parts in zip(*(format_rows(array) for array in table.values()), strict=True):
            writer.writerow([text for part in parts for text in part])


def _to_storable(array: Array) -> Array:
    """The array in a dtype that numpy can write without code: BF16 as the float32 of the same value."""
    if array.dtype == BFLOAT16:
        return (np.ascontiguousarray(array).view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.str_) if array.dtype.kind == "O" else array
