"""Values from a file in the datatype and the shape that a model's input has."""

from collections.abc import Sequence
from math import prod

import numpy as np

from serve.client.errors import InvalidFileError
from serve.client.replies import TensorMetadata
from serve.engine.datatypes import BFLOAT16, BY_NAME
from serve.engine.signature import Array

TRUTHS = {"true": True, "1": True, "false": False, "0": False}


def fitted(spec: TensorMetadata, array: Array) -> Array:
    """The array in the input's datatype with the same values, floats rounded; raises `InvalidFileError`."""
    known = BY_NAME.get(spec.datatype)
    if known is None:
        raise InvalidFileError(
            f"input `{spec.name}` is of `{spec.datatype}`, which this client does not know"
        )
    if not array.ndim or len(array.shape) != len(spec.shape) or not _fits(array.shape[1:], spec.shape[1:]):
        raise InvalidFileError(
            f"array `{spec.name}` has the shape `{list(array.shape)}`, the input takes `{list(spec.shape)}`"
        )
    if array.dtype == known.dtype or known.name in ("BYTES", "BF16"):
        return _as_it_is(spec, array)
    if not np.can_cast(array.dtype, known.dtype, "same_kind"):
        raise InvalidFileError(
            f"array `{spec.name}` is of `{array.dtype}`, which cannot become the input's `{spec.datatype}`"
        )
    try:
        with np.errstate(over="raise"):
            cast = array.astype(known.dtype)
    except FloatingPointError as error:
        raise InvalidFileError(f"array `{spec.name}` has values too large for `{spec.datatype}`") from error
    if known.dtype.kind in "iu" and not np.array_equal(cast, array):
        raise InvalidFileError(f"array `{spec.name}` has values that are no `{spec.datatype}`")
    return cast


def from_texts(spec: TensorMetadata, rows: Sequence[Sequence[str]]) -> Array:
    """The texts as the input's values, each row in the shape that it takes; raises `InvalidFileError`."""
    width = len(rows[0])
    shape = _row_shape(spec, width)
    dtype = BY_NAME[spec.datatype].dtype if spec.datatype in BY_NAME else BFLOAT16
    if dtype == BFLOAT16:
        raise InvalidFileError(f"input `{spec.name}` is of `{spec.datatype}`, which a table cannot hold")
    try:
        flat = np.array([[_value(text, dtype) for text in row] for row in rows], dtype)
    except (ValueError, OverflowError) as error:
        raise InvalidFileError(
            f"the columns of input `{spec.name}` hold a value that is no `{spec.datatype}`: {error}"
        ) from error
    return flat.reshape(len(rows), *shape)


def _value(text: str, dtype: np.dtype[np.generic]) -> object:
    if dtype.kind == "b":
        if text.strip().lower() not in TRUTHS:
            raise ValueError(f"`{text[:40]}`")
        return TRUTHS[text.strip().lower()]
    if dtype.kind in "iu":
        return int(text)
    return float(text) if dtype.kind == "f" else text


def _row_shape(spec: TensorMetadata, width: int) -> list[int]:
    """The shape of one row with so many values: at most one size that varies is told by them."""
    if not spec.shape:
        raise InvalidFileError(f"input `{spec.name}` has no dimension for rows")
    inner = list(spec.shape[1:])
    known = prod(size for size in inner if size != -1)
    if inner.count(-1) > 1 or (width % known if -1 in inner and known else width != known):
        raise InvalidFileError(
            f"input `{spec.name}` takes rows of the shape `{inner}`, which `{width}` columns cannot be"
        )
    return [width // known if size == -1 else size for size in inner]


def _fits(shape: Sequence[int], wanted: Sequence[int]) -> bool:
    return all(want in (-1, size) for size, want in zip(shape, wanted, strict=True))


def _as_it_is(spec: TensorMetadata, array: Array) -> Array:
    kinds = "US" if spec.datatype == "BYTES" else array.dtype.kind
    if array.dtype.kind not in kinds:
        raise InvalidFileError(f"array `{spec.name}` is of `{array.dtype}`, the input takes texts")
    return array
