"""Rows of a file, as many as a model is given at once, in the form in which the file has them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias, TypeVar

import numpy as np

from serve.client.batch.columns import cast_to_input, parse_rows
from serve.client.batch.rows import INSTANCE
from serve.client.errors import InvalidFileError
from serve.engine.errors import UnsupportedError
from serve.engine.model import ServedModel
from serve.engine.signature import Array
from serve.protocol.descriptions import TensorMetadata
from serve.protocol.json_text import Value
from serve.protocol.predict import holds_numbers, holds_texts, read_instances
from serve.protocol.texts import NO_TOKENIZER, read_texts

_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    """A row that stands in the file and holds nothing for a model."""

    reason: str


@dataclass(frozen=True, slots=True)
class Inputs:
    """A model's inputs, one row of each for each row of the file."""

    arrays: Mapping[str, Array]
    is_labelled: bool = False
    """Whether answers have the likeliest class's name, as those to images, texts and objects have."""
    truncated: tuple[int, ...] = ()
    """The places of texts that were cut."""


class Batch(Protocol):
    """Some rows, one after the other, of a file."""

    @property
    def first(self) -> int:
        """The number of the first row in the file, from 1."""

    @property
    def files(self) -> Sequence[str]:
        """The name of each row's file, where each row has its own."""

    def __len__(self) -> int: ...

    def part(self, start: int, stop: int) -> "Batch":
        """These rows alone."""

    def read(self, model: ServedModel) -> Inputs:
        """The model's inputs; raises `InvalidFileError`, or an `EngineError`, for rows that are none."""


@dataclass(frozen=True, slots=True)
class ArrayBatch:
    """Rows of arrays, one for each input."""

    first: int
    specs: Sequence[TensorMetadata]
    arrays: Mapping[str, Array]
    files: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def part(self, start: int, stop: int) -> "ArrayBatch":
        """These rows alone."""
        arrays = {name: array[start:stop] for name, array in self.arrays.items()}
        return ArrayBatch(self.first + start, self.specs, arrays)

    def read(self, model: ServedModel) -> Inputs:
        """The arrays in the inputs' datatypes."""
        return Inputs({spec.name: cast_to_input(spec, self.arrays[spec.name]) for spec in self.specs})


@dataclass(frozen=True, slots=True)
class TableLayout:
    """The columns of a table, and the positions of each input's."""

    header: Sequence[str]
    specs: Sequence[TensorMetadata]
    positions: Mapping[str, Sequence[int]]


@dataclass(frozen=True, slots=True)
class TableBatch:
    """Rows of texts, a text for each column."""

    first: int
    layout: TableLayout
    rows: Sequence[list[str] | UnreadableRow]
    files: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, start: int, stop: int) -> "TableBatch":
        """These rows alone."""
        return TableBatch(self.first + start, self.layout, self.rows[start:stop])

    def read(self, model: ServedModel) -> Inputs:
        """The values of the inputs' columns."""
        rows = _require_readable(self.first, self.rows)
        layout = self.layout
        return Inputs(
            {
                spec.name: parse_rows(
                    spec,
                    [[row[position] for position in layout.positions[spec.name]] for row in rows],
                    [layout.header[position] for position in layout.positions[spec.name]],
                    self.first,
                )
                for spec in layout.specs
            }
        )


Instance: TypeAlias = "Value | UnreadableRow"


@dataclass(frozen=True, slots=True)
class InstanceBatch:
    """Instances as the server's `:predict` takes them: objects, lists, texts, images."""

    first: int
    instances: Sequence[Instance]
    files: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.instances)

    def part(self, start: int, stop: int) -> "InstanceBatch":
        """These rows alone."""
        return InstanceBatch(self.first + start, self.instances[start:stop], self.files[start:stop])

    def read(self, model: ServedModel) -> Inputs:
        """The inputs that the server would make of the instances."""
        instances = _require_readable(self.first, self.instances)
        if not holds_numbers(instances) and holds_texts(instances, model.signature):
            tokenizer = model.description.tokenizer
            if tokenizer is None:
                raise UnsupportedError(NO_TOKENIZER)
            # The tokenizer's process answers one thread.
            texts = tokenizer.thread.submit(read_texts, instances, tokenizer, model.signature).result()
            return Inputs(texts.inputs, is_labelled=True, truncated=texts.truncated)
        return Inputs(read_instances(instances, model.signature, model.description), is_labelled=True)


@dataclass(frozen=True, slots=True)
class RepeatedBatch:
    """One row, so many times, for a model that takes no other number of rows."""

    row: Batch
    times: int

    @property
    def first(self) -> int:
        """The number of the row in the file."""
        return self.row.first

    @property
    def files(self) -> tuple[str, ...]:
        """The name of the row's file, as often."""
        return tuple(self.row.files) * self.times

    def __len__(self) -> int:
        return self.times

    def part(self, start: int, stop: int) -> "RepeatedBatch":
        """So many times fewer."""
        return RepeatedBatch(self.row, stop - start)

    def read(self, model: ServedModel) -> Inputs:
        """The row's inputs, as often."""
        inputs = self.row.read(model)
        arrays = {name: np.repeat(array, self.times, 0) for name, array in inputs.arrays.items()}
        truncated = tuple(range(self.times)) if inputs.truncated else ()
        return replace(inputs, arrays=arrays, truncated=truncated)


def name_row(message: str, batch: Batch) -> str:
    """The message with the row of the file, of which the batch has this one alone."""
    where = f"`{batch.files[0]}`" if batch.files else f"row {batch.first}"
    text, count = INSTANCE.subn(lambda _: where, message)
    is_named = count or text.startswith((f"{where}:", f"{where},", f"{where} "))
    return text if is_named else f"{where}: {text}"


def _require_readable(first: int, rows: Sequence[_Row | UnreadableRow]) -> list[_Row]:
    readable: list[_Row] = []
    for number, row in enumerate(rows, start=first):
        if isinstance(row, UnreadableRow):
            raise InvalidFileError(f"row {number}: {row.reason}")
        readable.append(row)
    return readable
