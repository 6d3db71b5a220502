"""Parquet files: a shard begins with a row group, and its columns are read a few rows at a time."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from serve.client.batch.columns import assign_columns, cast_to_input, infer_row_shape
from serve.client.batch.offline.batches import ArrayBatch, Batch, Inputs, InstanceBatch
from serve.client.batch.offline.shards import Shard, ShardSize, digest_file, read_stamp
from serve.client.batch.results import import_parquet
from serve.client.batch.texts import PAIR, TEXT, find_texts, name_inputs, takes_texts
from serve.client.errors import InvalidFileError
from serve.engine.datatypes import BY_NAME
from serve.engine.model import ServedModel
from serve.engine.signature import Array
from serve.protocol.descriptions import ModelMetadata, TensorMetadata

BUFFER_BYTES = 2**20
PIECE_BYTES = 4 * 2**20
PIECE_TEXTS = 1024
"""So many rows of texts are read at a time, since a file that holds each text once may be of any size."""


@dataclass(frozen=True, slots=True)
class ColumnBatch:
    """Rows of columns in Arrow's form."""

    first: int
    table: Any
    columns: Mapping[str, Sequence[str]]
    """The columns of each input."""
    specs: tuple[TensorMetadata, ...]
    files: tuple[str, ...] = ()

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def part(self, start: int, stop: int) -> "ColumnBatch":
        """These rows alone."""
        return ColumnBatch(
            self.first + start, self.table.slice(start, stop - start), self.columns, self.specs
        )

    def read(self, model: ServedModel) -> Inputs:
        """The columns' values in the inputs' datatypes."""
        return self.read_arrays().read(model)

    def read_arrays(self) -> ArrayBatch:
        """The rows as arrays; raises `InvalidFileError`."""
        return ArrayBatch(self.first, self.specs, {spec.name: self._read_input(spec) for spec in self.specs})

    def _read_input(self, spec: TensorMetadata) -> Array:
        names = self.columns[spec.name]
        if len(names) == 1:
            array = _to_array(names[0], self.table.column(names[0]), spec)
            return (
                array
                if array.ndim > 1 or len(spec.shape) == 1
                else array.reshape(len(array), *infer_row_shape(spec, 1))
            )
        one = TensorMetadata(spec.name, spec.datatype, (-1,))
        columns = [cast_to_input(one, _to_array(name, self.table.column(name), spec)) for name in names]
        return np.stack(columns, 1).reshape(len(self), *infer_row_shape(spec, len(names)))


@dataclass(frozen=True, slots=True)
class ParquetFile:
    """The columns for a model's inputs, or for its texts."""

    path: Path
    stamp: tuple[int, int]
    columns: Mapping[str, Sequence[str]]
    model: ModelMetadata
    ends: tuple[int, ...]
    """The row after the last of each row group."""
    row_bytes: int

    def fingerprint(self) -> str:
        """The digest of its content: what it says of its row groups may be the same for other values."""
        return digest_file(self.path)

    def cut(self, size: ShardSize) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Shards that begin with the first batch of a row group, as every number of rows allows."""
        start = 0
        for end in self.ends:
            stop = end if end == self.ends[-1] else -(-end // size.batch) * size.batch
            stop = min(stop, self.ends[-1])
            for first, last in size.cut(stop - start):
                yield last - first, ()
            start = max(start, stop)

    def read(self, shard: Shard, batch: int) -> Iterator[Batch]:
        """The rows of the columns, so many at a time."""
        first, rows = shard.first + 1, PIECE_BYTES // self.row_bytes
        if TEXT in self.columns or any(spec.datatype == "BYTES" for spec in self.model.inputs):
            rows = min(rows, PIECE_TEXTS)
        for table in self._read_tables(shard, max(1, rows // batch) * batch):
            piece = self._make_batch(first, table)
            for start in range(0, len(piece), batch):
                yield piece.part(start, min(start + batch, len(piece)))
            first += len(piece)

    def _make_batch(self, first: int, table: Any) -> Batch:
        """The rows of the table; as arrays, if all of them can be."""
        if TEXT in self.columns:
            return InstanceBatch(first, _list_texts(table, *self.columns[TEXT]))
        columns = ColumnBatch(first, table, self.columns, self.model.inputs)
        try:
            return columns.read_arrays()
        except InvalidFileError:
            return columns

    def _read_tables(self, shard: Shard, batch: int) -> Iterator[Any]:
        """Tables of exactly so many rows, but for the last."""
        from pyarrow import Table  # noqa: PLC0415

        groups = [place for place, end in enumerate(self.ends) if end > shard.first]
        skip = shard.first - ([0, *self.ends][groups[0]])
        left, waiting, count = shard.rows, list[Any](), 0
        names = list(dict.fromkeys(name for columns in self.columns.values() for name in columns))
        with _open(self.path) as file:
            for piece in file.iter_batches(batch, row_groups=groups, columns=names, use_threads=False):
                skipped = min(skip, piece.num_rows)
                skip -= skipped
                rows = piece.slice(skipped, left)
                left -= rows.num_rows
                waiting.append(rows)
                count += rows.num_rows
                while count >= batch or (not left and count):
                    table = Table.from_batches(waiting)
                    yield table.slice(0, batch)
                    rest = table.slice(batch)
                    waiting, count = rest.to_batches(), rest.num_rows
                if not left:
                    return


def open_parquet(path: Path, model: ModelMetadata) -> ParquetFile:
    """The file, whose columns fit the model; raises `InvalidFileError`."""
    import_parquet()
    stamp = read_stamp(path)
    with _open(path) as file:
        schema, metadata = file.schema_arrow, file.metadata
        groups = [metadata.row_group(place) for place in range(metadata.num_row_groups)]
        ends = tuple(accumulate(group.num_rows for group in groups))
    columns = _choose_columns(path, schema, model)
    row_bytes = max(
        [_count_row_bytes(model), *(group.total_byte_size // max(1, group.num_rows) for group in groups)]
    )
    return ParquetFile(path, stamp, columns, model, ends, row_bytes)


def _count_row_bytes(model: ModelMetadata) -> int:
    """At least so many bytes has a row of the inputs."""
    sizes = [(BY_NAME[spec.datatype].dtype.itemsize, spec.shape[1:]) for spec in model.inputs]
    return sum(size * prod(max(1, length) for length in shape) for size, shape in sizes) or 1


def _choose_columns(path: Path, schema: Any, model: ModelMetadata) -> dict[str, list[str]]:
    """The columns of each input, or of the texts."""
    names = list(schema.names)
    if len(set(names)) < len(names):
        raise InvalidFileError(f"`{path}` has several columns of one name")
    inputs = [spec.name for spec in model.inputs]
    if takes_texts(model) and not name_inputs(names, model):
        place, pair = find_texts(path, names, model.name)
        return {TEXT: [names[place]] if pair is None else [names[place], names[pair]]}
    if inputs and set(inputs) <= set(names):
        chosen = {name: [name] for name in inputs}
    else:
        positions = assign_columns(names, model)
        chosen = {name: [names[position] for position in positions[name]] for name in inputs}
    for columns in chosen.values():
        for column in columns:
            _check_type(path, column, schema.field(column).type)
    return chosen


def _check_type(path: Path, column: str, kind: Any) -> None:
    from pyarrow import types  # noqa: PLC0415

    while _is_list(kind):
        kind = kind.value_type
    if types.is_dictionary(kind):
        kind = kind.value_type
    known = (types.is_integer, types.is_floating, types.is_boolean, types.is_string, types.is_large_string)
    if not any(is_known(kind) for is_known in known):
        raise InvalidFileError(
            f"`{path}`: column `{column[:100]}` holds `{kind}`, expected numbers, texts, true and false, or "
            "lists of these"
        )


def _is_list(kind: Any) -> bool:
    from pyarrow import types  # noqa: PLC0415

    return any(is_kind(kind) for is_kind in (types.is_list, types.is_large_list, types.is_fixed_size_list))


def _to_array(name: str, column: Any, spec: TensorMetadata) -> Array:
    """The column's values; those of lists with a size for each level, as all rows have it."""
    from pyarrow import compute, types  # noqa: PLC0415

    values, shape = column.combine_chunks(), [len(column)]
    while _is_list(values.type):
        if values.null_count:
            raise InvalidFileError(f"column `{name[:100]}` has no value")
        sizes = compute.unique(compute.list_value_length(values)).to_pylist()
        if len(sizes) > 1:
            raise InvalidFileError(f"column `{name[:100]}` holds lists of different lengths: {sizes[:5]}")
        shape.append(sizes[0] if sizes else 0)
        values = values.flatten()
    if types.is_dictionary(values.type):
        values = values.dictionary_decode()
    is_float = BY_NAME[spec.datatype].dtype.kind == "f" if spec.datatype in BY_NAME else False
    if values.null_count and not (is_float and types.is_floating(values.type)):
        raise InvalidFileError(f"column `{name[:100]}` has no value, expected a `{spec.datatype}`")
    array: Array = np.asarray(values.to_numpy(zero_copy_only=False))
    return array.reshape(shape)


def _list_texts(table: Any, text: str, pair: str | None = None) -> list[Any]:
    texts: list[Any] = table.column(text).to_pylist()
    if pair is None:
        return texts
    return [{TEXT: one, PAIR: two} for one, two in zip(texts, table.column(pair).to_pylist(), strict=True)]


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    """The file, open within the block, whose errors say that it cannot be read."""
    from pyarrow import ArrowException, OSFile  # noqa: PLC0415

    parquet = import_parquet()
    try:
        with (
            OSFile(os.fsencode(path)) as stream,  # a path as text would have to be UTF-8
            parquet.ParquetFile(stream, buffer_size=BUFFER_BYTES, pre_buffer=False) as file,
        ):
            yield file
    except (OSError, ArrowException) as error:
        raise InvalidFileError(f"`{path}` cannot be read as a Parquet file: {error}") from error
