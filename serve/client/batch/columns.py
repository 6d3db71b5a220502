"""The columns of a table for tensors: `x` for one value a row, `x[0]`, `x[1]` or `x[0,1]` for more."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import prod

import numpy as np

from serve.client.errors import InvalidFileError
from serve.client.replies import ModelMetadata, TensorMetadata
from serve.engine.signature import Array

INDEXED = re.compile(r"(.+)\[([0-9]{1,9}(?:,[0-9]{1,9})*)\]")


def column(name: str, index: Sequence[int]) -> str:
    """The name of the column for the value at this index of a row."""
    return f"{name}[{','.join(map(str, index))}]" if index else name


def columns_of(name: str, shape: Sequence[int]) -> list[str]:
    """The columns' names for a tensor with rows of this shape, in row-major order."""
    return [column(name, index) for index in np.ndindex(*shape)]


def places_of(header: Sequence[str], model: ModelMetadata) -> Mapping[str, list[int]]:
    """Which columns are each input's, in row-major order of their indices; raises `InvalidFileError`.

    Where none is named for an input, and the model has but one, all columns are that one's, as they stand.
    """
    names = [spec.name for spec in model.inputs]
    parts = [_parts(each, names) for each in header]
    named = {name for name, _ in parts}
    if len(names) == 1 and names[0] not in named:
        return {names[0]: list(range(len(header)))}
    unknown = [each for each, (name, _) in zip(header, parts, strict=True) if name not in names]
    missing = [name for name in names if name not in named]
    if unknown or missing:
        raise InvalidFileError(
            f"the columns do not fit model `{model.name}`: no input for {_shown(unknown)}, "
            f"no column for {_shown(missing)}; its inputs: {_shown(names)}"
        )
    return {
        spec.name: _ordered(
            spec, [(index, place) for place, (name, index) in enumerate(parts) if name == spec.name]
        )
        for spec in model.inputs
    }


def texts_of(array: Array) -> list[list[str]]:
    """Each row's values as text, from which the same values can be read again."""
    flat = array.reshape(array.shape[0], -1)
    if flat.dtype.kind == "b":
        return [["true" if value else "false" for value in row] for row in flat]
    if flat.dtype.kind in "iuf":
        # numpy writes the shortest text that gives the same number back in its own precision.
        written: list[list[str]] = flat.astype(np.str_).tolist()
        return written
    return [[str(value) for value in row] for row in flat.tolist()]


def _parts(text: str, names: Sequence[str]) -> tuple[str, tuple[int, ...]]:
    """The input's name and the index that a column is named for."""
    found = None if text in names else INDEXED.fullmatch(text)
    return (found[1], tuple(map(int, found[2].split(",")))) if found else (text, ())


def _ordered(spec: TensorMetadata, columns: Sequence[tuple[tuple[int, ...], int]]) -> list[int]:
    """The columns' places by their indices, of which each is there once."""
    places = dict(columns)
    (often, times), *_ = Counter(index for index, _ in columns).most_common(1)
    if times > 1:
        raise InvalidFileError(f"the column `{column(spec.name, often)}` is there {times} times")
    if len({len(index) for index in places}) > 1:
        raise InvalidFileError(f"the columns of input `{spec.name}` have indices of different lengths")
    shape = [max(sizes) + 1 for sizes in zip(*places, strict=True)]
    inner = list(spec.shape[1:])
    if len(shape) > 1 and not fits(shape, inner):
        raise InvalidFileError(
            f"the columns of input `{spec.name}` are rows of the shape `{shape}`, it takes `{inner}`"
        )
    if len(places) != prod(shape):
        raise InvalidFileError(
            f"input `{spec.name}` has `{len(places)}` columns, whose indices make rows of the shape "
            f"`{shape}`: some are missing"
        )
    return [places[index] for index in sorted(places)]


def fits(shape: Sequence[int], wanted: Sequence[int]) -> bool:
    """Whether a tensor of this shape may stand where the other is wanted, whose -1 is any size."""
    return len(shape) == len(wanted) and all(
        want in (-1, size) for size, want in zip(shape, wanted, strict=True)
    )


def _shown(names: Iterable[str]) -> str:
    found = [f"`{name[:100]}`" for name in names]
    return ", ".join(found[:10]) + (", ..." if len(found) > 10 else "") or "none"
