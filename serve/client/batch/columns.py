"""The columns of a table for tensors: `x` for one value a row, `x[0]`, `x[1]` or `x[0,1]` for more."""

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from serve.client.errors import InvalidFileError
from serve.client.replies import ModelMetadata
from serve.engine.signature import Array

INDEXED = re.compile(r"(.+)\[\d+(?:,\d+)*\]")


def columns_of(name: str, shape: Sequence[int]) -> list[str]:
    """The columns' names for a tensor with rows of this shape, in row-major order."""
    if not shape:
        return [name]
    return [f"{name}[{','.join(map(str, index))}]" for index in np.ndindex(*shape)]


def places_of(header: Sequence[str], model: ModelMetadata) -> Mapping[str, list[int]]:
    """Which columns are each input's, in the order of the table; raises `InvalidFileError`.

    Where none is named for an input, and the model has but one, all columns are that one's.
    """
    owners = [INDEXED.fullmatch(column) for column in header]
    named = [found[1] if found else column for column, found in zip(header, owners, strict=True)]
    names = [spec.name for spec in model.inputs]
    if len(names) == 1 and names[0] not in named:
        return {names[0]: list(range(len(header)))}
    unknown = [column for column, name in zip(header, named, strict=True) if name not in names]
    missing = [name for name in names if name not in named]
    if unknown or missing:
        raise InvalidFileError(
            f"the columns do not fit model `{model.name}`: no input for {_shown(unknown)}, "
            f"no column for {_shown(missing)}; its inputs: {_shown(names)}"
        )
    return {name: [place for place, owner in enumerate(named) if owner == name] for name in names}


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


def _shown(names: Iterable[str]) -> str:
    found = [f"`{name[:100]}`" for name in names]
    return ", ".join(found[:10]) + (", ..." if len(found) > 10 else "") or "none"
