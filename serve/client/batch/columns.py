"""The columns of a table for tensors, and their values in the datatype and shape that an input has."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from math import isinf, prod
from typing import Any

import numpy as np

from serve.client.errors import InvalidFileError
from serve.engine.datatypes import BFLOAT16, BY_NAME
from serve.engine.signature import Array
from serve.protocol.descriptions import ModelMetadata, TensorMetadata

INDEXED_NAME = re.compile(r"(.+)\[([0-9]{1,9}(?:,[0-9]{1,9})*)\]")
FLOATS = ("FP16", "FP32", "FP64")
BOOLS = {"true": True, "1": True, "false": False, "0": False}


def format_column(name: str, index: Sequence[int]) -> str:
    """The name of the column for the value at this index of a row."""
    return f"{name}[{','.join(map(str, index))}]" if index else name


def list_columns(name: str, shape: Sequence[int]) -> list[str]:
    """The columns' names for a tensor with rows of this shape, in row-major order."""
    return [format_column(name, index) for index in np.ndindex(*shape)]


def assign_columns(header: Sequence[str], model: ModelMetadata) -> Mapping[str, list[int]]:
    """The positions of each input's columns, in row-major order of their indices; raises `InvalidFileError`.

    Where no column is named for the only input of a model, all columns are that input's: by their names where
    the server says these, else in their order.
    """
    names = [spec.name for spec in model.inputs]
    parts = [_parse_column(column, names) for column in header]
    named = {name for name, _ in parts}
    if len(names) == 1 and names[0] not in named:
        return {names[0]: _order_named(header, _read_column_names(model), model.name)}
    unknown = [column for column, (name, _) in zip(header, parts, strict=True) if name not in names]
    missing = [name for name in names if name not in named]
    if unknown or missing:
        raise InvalidFileError(
            f"the columns do not fit model `{model.name}`: no input for {list_names(unknown)}, "
            f"no column for {list_names(missing)}; its inputs: {list_names(names)}"
        )
    return {
        spec.name: _order_columns(
            spec, [(index, position) for position, (name, index) in enumerate(parts) if name == spec.name]
        )
        for spec in model.inputs
    }


def format_rows(array: Array) -> list[list[str]]:
    """Each row's values as text, from which the same values can be read again."""
    flat = array.reshape(array.shape[0], -1)
    if flat.dtype.kind == "b":
        return [["true" if value else "false" for value in row] for row in flat]
    if flat.dtype.kind in "iuf":
        # numpy writes the shortest text that gives the same number back in its own precision.
        texts: list[list[str]] = flat.astype(np.str_).tolist()
        return texts
    return [[str(value) for value in row] for row in flat.tolist()]


def _parse_column(text: str, names: Sequence[str]) -> tuple[str, tuple[int, ...]]:
    """The input's name and the index that a column is named for."""
    match = None if text in names else INDEXED_NAME.fullmatch(text)
    return (match[1], tuple(map(int, match[2].split(",")))) if match else (text, ())


def _read_column_names(model: ModelMetadata) -> list[str]:
    """The names of the only input's columns, as the server says them; empty where it says none."""
    part = (model.description or {}).get("columns")
    return part.value if part is not None and isinstance(part.value, list) else []


def _order_named(header: Sequence[str], columns: Sequence[str], model: str) -> list[int]:
    """The positions of the columns in the model's order; as they stand where the model does not name them."""
    if not columns:
        return list(range(len(header)))
    if sorted(header) != sorted(columns):
        known, given = set(columns), set(header)
        unknown = [name for name in header if name not in known]
        missing = [name for name in columns if name not in given]
        raise InvalidFileError(
            f"the columns do not fit model `{model}`, which does not know {list_names(unknown)} and lacks "
            f"{list_names(missing)}; its columns, each once: {list_names(columns)}"
        )
    places = {name: place for place, name in enumerate(header)}
    return [places[name] for name in columns]


def _order_columns(spec: TensorMetadata, columns: Sequence[tuple[tuple[int, ...], int]]) -> list[int]:
    """The columns' positions in the order of their indices; raises `InvalidFileError`."""
    positions = dict(columns)
    (index, times), *_ = Counter(index for index, _ in columns).most_common(1)
    if times > 1:
        raise InvalidFileError(f"the column `{format_column(spec.name, index)}` is there {times} times")
    if len({len(index) for index in positions}) > 1:
        raise InvalidFileError(f"the columns of input `{spec.name}` have indices of different lengths")
    shape = [max(sizes) + 1 for sizes in zip(*positions, strict=True)]
    inner = list(spec.shape[1:])
    if len(shape) > 1 and not is_compatible(shape, inner):
        raise InvalidFileError(
            f"the columns of input `{spec.name}` are rows of the shape `{shape}`, it takes `{inner}`"
        )
    if len(positions) != prod(shape):
        raise InvalidFileError(
            f"input `{spec.name}` has `{len(positions)}` columns, whose indices make rows of the shape "
            f"`{shape}`: some are missing"
        )
    return [positions[index] for index in sorted(positions)]


def is_compatible(shape: Sequence[int], expected: Sequence[int]) -> bool:
    """Whether the shape is the expected one, whose -1 is any size."""
    return len(shape) == len(expected) and all(
        limit in (-1, size) for size, limit in zip(shape, expected, strict=True)
    )


def list_names(names: Iterable[str]) -> str:
    """The first of the names, each shortened, for a message."""
    quoted = [f"`{name[:100]}`" for name in names]
    return ", ".join(quoted[:10]) + (", ..." if len(quoted) > 10 else "") or "none"


def cast_to_input(spec: TensorMetadata, array: Array) -> Array:
    """The array in the input's datatype with the same values, floats rounded; raises `InvalidFileError`."""
    datatype = BY_NAME.get(spec.datatype)
    if datatype is None:
        raise InvalidFileError(
            f"input `{spec.name}` is of `{spec.datatype}`, which this client does not know"
        )
    if not array.ndim or not spec.shape or not is_compatible(array.shape[1:], spec.shape[1:]):
        raise InvalidFileError(
            f"array `{spec.name}` has the shape `{list(array.shape)}`, the input takes `{list(spec.shape)}`"
        )
    if datatype.name == "BYTES":
        return _read_texts(spec, array)
    if array.dtype == datatype.dtype or datatype.name == "BF16":
        return array
    if not np.can_cast(array.dtype, datatype.dtype, "same_kind"):
        kind = "text" if array.dtype.kind in "OSU" else array.dtype
        raise InvalidFileError(
            f"array `{spec.name}` is of `{kind}`, which cannot become the input's `{spec.datatype}`"
        )
    try:
        with np.errstate(over="raise"):
            cast = array.astype(datatype.dtype)
    except FloatingPointError as error:
        raise InvalidFileError(f"array `{spec.name}` has values too large for `{spec.datatype}`") from error
    if array.dtype.kind in "iu" and not _keeps_whole_numbers(array, cast):
        raise InvalidFileError(f"array `{spec.name}` has whole numbers that `{spec.datatype}` cannot hold")
    return cast


def parse_rows(
    spec: TensorMetadata, rows: Sequence[Sequence[str]], columns: Sequence[str], first: int = 1
) -> Array:
    """The texts as the input's values, rows in the shape that it takes; `columns` are their names.

    `first` is the number of the first row in its file.

    Raises `InvalidFileError` for a text that is no value of the input; an empty one is that of texts alone.
    """
    width = len(rows[0])
    shape = infer_row_shape(spec, width)
    dtype = BY_NAME[spec.datatype].dtype if spec.datatype in BY_NAME else BFLOAT16
    if dtype == BFLOAT16:
        raise InvalidFileError(f"input `{spec.name}` is of `{spec.datatype}`, which a table cannot hold")
    parse = _choose_parser(dtype)
    values: list[list[object]] = []
    for number, row in enumerate(rows, start=first):
        try:
            values.append([parse(text) for text in row])
        except ValueError as error:
            raise _refuse_cell(spec, number, zip(columns, row, strict=True), parse) from error
    return np.array(values, dtype).reshape(len(rows), *shape)


def _refuse_cell(
    spec: TensorMetadata, number: int, cells: Iterable[tuple[str, str]], parse: Callable[[str], object]
) -> InvalidFileError:
    """The error that names the first of the row's cells that cannot be parsed."""
    for column, text in cells:
        try:
            parse(text)
        except ValueError as error:
            where = f"row {number}, column `{column[:100]}`"
            missing = (
                "; a missing number is `nan`, if the model knows such" if spec.datatype in FLOATS else ""
            )
            if not text.strip():
                return InvalidFileError(f"{where} is empty, expected a `{spec.datatype}`{missing}")
            return InvalidFileError(f"{where} holds no `{spec.datatype}`: {error}")
    return InvalidFileError(f"row {number} holds no `{spec.datatype}`")


def _choose_parser(dtype: np.dtype[np.generic]) -> Callable[[str], object]:
    """The parser of the dtype's values; it raises `ValueError` for any other text."""
    if dtype.kind == "b":
        return _parse_bool
    if dtype.kind in "iu":
        return partial(_parse_int, np.iinfo(dtype.name))
    return partial(_parse_float, dtype, _largest_exact(dtype)) if dtype.kind == "f" else str


def _parse_bool(text: str) -> bool:
    if text.strip().lower() not in BOOLS:
        raise ValueError(f"`{text[:40]}`")
    return BOOLS[text.strip().lower()]


def _parse_int(limits: np.iinfo[np.integer[Any]], text: str) -> int:
    value = int(_require_plain(text))
    if not limits.min <= value <= limits.max:
        raise ValueError(f"`{text[:40]}` is out of range")
    return value


def _parse_float(dtype: np.dtype[np.generic], exact: int, text: str) -> float:
    value = float(_require_plain(text))
    if -exact < value < exact:
        return value
    with np.errstate(over="ignore"):
        rounded = float(dtype.type(value))
    if isinf(rounded) and "inf" not in text.lower():
        raise ValueError(f"`{text[:40]}` is out of range")
    if text.strip().lstrip("+-").isdecimal() and int(text) != rounded:
        raise ValueError(f"`{text[:40]}` is a whole number that it cannot hold")
    return value


def _require_plain(text: str) -> str:
    """The text; raises `ValueError` for `1_0`, which only Python reads as ten."""
    if "_" in text:
        raise ValueError(f"`{text[:40]}`")
    return text


def _largest_exact(dtype: np.dtype[np.generic]) -> int:
    """The dtype holds every whole number between this and its negative."""
    return int(2 ** (np.finfo(dtype.name).nmant + 1))


def _keeps_whole_numbers(array: Array, cast: Array) -> bool:
    """Whether the cast changed no whole number."""
    if cast.dtype.kind != "f":
        return np.array_equal(cast, array)
    exact = _largest_exact(cast.dtype)
    large = np.greater_equal(array, exact) | np.less_equal(array, -exact)
    # Python compares a float with a whole number exactly; numpy rounds the whole number first.
    return bool(cast[large].tolist() == array[large].tolist())


def infer_row_shape(spec: TensorMetadata, width: int) -> list[int]:
    """The shape of a row with so many values, from which at most one size of any length follows."""
    if not spec.shape:
        raise InvalidFileError(f"input `{spec.name}` has no dimension for rows")
    inner = list(spec.shape[1:])
    known = prod(size for size in inner if size != -1)
    if inner.count(-1) > 1 or (width % known if -1 in inner and known else width != known):
        raise InvalidFileError(
            f"input `{spec.name}` takes rows of the shape `{inner}`, which `{width}` columns cannot be"
        )
    return [width // known if size == -1 else size for size in inner]


def _read_texts(spec: TensorMetadata, array: Array) -> Array:
    """The texts as Python's, which is how a model takes them; raises `InvalidFileError` for anything else."""
    try:
        if array.dtype.kind == "S":
            array = np.char.decode(array, "utf-8")  # type: ignore[arg-type]  # they are bytes
    except UnicodeDecodeError as error:
        raise InvalidFileError(f"array `{spec.name}` holds bytes that are not UTF-8: {error}") from error
    if array.dtype.kind == "U":
        return array.astype(np.object_)
    if array.dtype.kind != "O" or not all(isinstance(value, str) for value in array.flat):
        raise InvalidFileError(f"array `{spec.name}` is of `{array.dtype}`, the input takes texts")
    return array
