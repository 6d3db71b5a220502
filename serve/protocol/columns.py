"""Rows of a table in requests, objects with a value for each column, to a model's inputs."""

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain
from math import inf
from operator import itemgetter

import numpy as np

from adaptact.suggestions import suggest
from serve.engine.datatypes import BFLOAT16, Datatype
from serve.engine.errors import MalformedRequestError, quote, quote_names
from serve.engine.signature import Array, TensorSpec
from serve.protocol.images import is_image
from serve.protocol.json_text import Value
from serve.protocol.long_values import LongList
from serve.protocol.tensors import from_nested, make_array


def split_columns(rows: "Iterable[object]", names: Sequence[str], note: str = "") -> dict[str, list[Value]]:
    """The values of each column, in the order of the rows.

    Raises `MalformedRequestError`, with the note, for a row that is no object with exactly these names.
    """
    _check_rows(rows, names, note)
    return {name: list(map(itemgetter(name), rows)) for name in names}  # type: ignore[arg-type]  # checked above


def read_matrix(spec: TensorSpec, rows: "Iterable[object]", names: Sequence[str]) -> Array:
    """The input's tensor of rows and columns; raises `MalformedRequestError` as `split_columns` does."""
    _check_rows(rows, names)
    if spec.datatype.dtype == BFLOAT16:
        raise MalformedRequestError(f"input {quote(spec.name)}: BF16 has no JSON form; send it in binary")
    take = itemgetter(*names)
    values = list(chain.from_iterable(map(take, rows)) if len(names) > 1 else map(take, rows))  # type: ignore[arg-type]
    try:
        return make_array(values, spec.datatype).reshape(-1, len(names))
    except (TypeError, ValueError, OverflowError, FloatingPointError) as error:
        for place, value in enumerate(values):
            _check_value(place // len(names), names[place % len(names)], value, spec.datatype)
        raise MalformedRequestError(f"the rows are not all of `{spec.datatype.name}`") from error


def read_column(spec: TensorSpec, values: "list[Value] | LongList", *, is_row: bool) -> Array:
    """The input's tensor; raises `MalformedRequestError`, which names row and column where there are some."""
    try:
        array = from_nested(spec.name, values, spec.datatype)
    except MalformedRequestError:
        is_column = len(spec.shape) == 1 or spec.dims[1:] == [1]
        if is_row and is_column and spec.datatype.dtype.kind in "fiubO":
            for position, value in enumerate(values):
                alone = value[0] if isinstance(value, list) and len(value) == 1 else value
                _check_value(position, spec.name, alone, spec.datatype)
        raise
    if array.ndim == 1 and len(spec.shape) == 2 and spec.shape[1] == 1:
        return array.reshape(-1, 1)
    return array


def _check_rows(rows: "Iterable[object]", names: Sequence[str], note: str = "") -> None:
    expected = frozenset(names)
    for position, row in enumerate(rows):
        if not isinstance(row, dict) or row.keys() != expected:
            raise MalformedRequestError(_describe_row(position, row, names) + note)


def _describe_row(position: int, row: object, names: Sequence[str]) -> str:
    """What is wrong with a row."""
    expected = f"expected an object with exactly the model's inputs: {quote_names(list(names))}"
    if is_image(row):
        return f"`instances[{position}]` is an image, {expected}"
    if not isinstance(row, dict):
        return f"`instances[{position}]` is {_describe(row)}, {expected}"
    missing = [name for name in names if name not in row]
    unknown = next((str(name) for name in row if name not in names), None)
    wrongs = [f"has no value for {quote_names(missing)}"] if missing else []
    if unknown is not None:
        hint = suggest(unknown, missing or names)
        wrongs.append(f"has {quote(unknown)}, which the model does not" + (f" ({hint})" if hint else ""))
    return f"`instances[{position}]` {' and '.join(wrongs)}; {expected}"


def _check_value(position: int, name: str, value: object, datatype: Datatype) -> None:
    """Raise `MalformedRequestError` unless the value is one of the datatype."""
    expected, hint = _judge(value, datatype)
    if expected:
        raise MalformedRequestError(
            f"`instances[{position}]`: {quote(name)} is {_describe(value)}, expected {expected}{hint}"
        )


def _judge(value: object, datatype: Datatype) -> tuple[str, str]:
    """What is expected instead of the value, empty if it is right, and what to do."""
    kind = datatype.dtype.kind
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "O":
        hint = "; put it in quotes" if number else ""
        return ("" if isinstance(value, str) else "a text"), hint
    if kind == "b":
        return ("" if isinstance(value, bool) else "true or false"), ""
    words = "a whole number" if kind in "iu" else "a number"
    if not number or (kind in "iu" and isinstance(value, float)):
        return f"{words} (`{datatype.name}`)", _hint_at(value, datatype)
    return _judge_size(value, datatype, words)  # type: ignore[arg-type]  # a number


def _judge_size(value: float, datatype: Datatype, words: str) -> tuple[str, str]:
    low, high = _read_limits(datatype)
    is_outside = value < low or value > high
    if not is_outside or abs(value) == inf:  # NaN and infinities are numbers
        return "", ""
    if datatype.dtype.kind == "f":
        return f"a smaller number (`{datatype.name}`)", ""
    return f"{words} from {low} to {high} (`{datatype.name}`)", ""


@cache
def _read_limits(datatype: Datatype) -> tuple[float, float]:
    """The smallest and the largest number of the datatype."""
    dtype = datatype.dtype
    if dtype.kind in "iu":
        whole = np.iinfo(dtype.name)
        return int(whole.min), int(whole.max)
    return float(np.finfo(dtype.name).min), float(np.finfo(dtype.name).max)


def _hint_at(value: object, datatype: Datatype) -> str:
    if value is None:
        is_float = datatype.dtype.kind == "f"
        return "; a missing one is NaN, if the model knows such" if is_float else "; none may be missing"
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return ""
        return "; leave out the quotes"
    return "; leave out the fraction" if isinstance(value, float) and value.is_integer() else ""


def _describe(value: object) -> str:
    """The value in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    if isinstance(value, str):
        return f"the text {quote(value)}"
    if isinstance(value, dict):
        return "an object"
    return "a list" if not isinstance(value, (int, float)) else quote(value)
