"""The protocol's JSON tensors, to and from numpy arrays."""

import json
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any, Literal

import numpy as np
import simdjson
from numpy.typing import NDArray

from serve.engine.datatypes import BFLOAT16, Datatype
from serve.engine.errors import MalformedRequestError, NotExpressibleError, quote
from serve.engine.signature import Array
from serve.protocol.binary import reshape
from serve.protocol.json_text import MAX_DEPTH, Value
from serve.protocol.json_writing import PIECE_VALUES, to_writable
from serve.protocol.long_values import LongList, LongObject, Part, RaggedNumbers

# simdjson's letter for the widest number of each of numpy's kinds, and that number's dtype.
WIDEST: dict[str, tuple[Literal["d", "i", "u"], np.dtype[Any]]] = {
    "f": ("d", np.dtype(np.float64)),
    "i": ("i", np.dtype(np.int64)),
    "u": ("u", np.dtype(np.uint64)),
}
PYTHON_TYPES: dict[str, set[type]] = {"f": {float, int}, "i": {int}, "u": {int}, "b": {bool}, "O": {str}}


def from_json(name: str, data: object, datatype: Datatype, shape: Sequence[int]) -> Array:
    """The tensor of flat or nested JSON data, in order; raises `MalformedRequestError`."""
    if datatype.dtype == BFLOAT16:
        raise MalformedRequestError(f"input {quote(name)}: BF16 has no JSON form; send it in binary")
    kind = datatype.dtype.kind
    try:
        if isinstance(data, LongList):
            flat = _join([_flatten_part(part, datatype) for part in data.parts], datatype)
        elif isinstance(data, simdjson.Array):
            flat = _read_buffer(data, datatype) if kind in WIDEST else _flatten(data.as_list(), datatype)
        elif isinstance(data, list):
            flat = _flatten(data, datatype)
        else:
            raise MalformedRequestError(f"input {quote(name)}: `data` is not a list")
    except (TypeError, ValueError, OverflowError, FloatingPointError) as error:
        raise MalformedRequestError(
            f"input {quote(name)}: `data` holds a value that is not a `{datatype.name}`"
        ) from error
    return reshape(name, flat, shape)


def from_nested(name: str, data: "Value | LongList", datatype: Datatype) -> Array:
    """The tensor of nested JSON data, in the shape of their nesting; raises `MalformedRequestError`."""
    if datatype.dtype == BFLOAT16 or not isinstance(data, (list, LongList)):
        raise MalformedRequestError(f"input {quote(name)}: `{datatype.name}` expects nested lists of values")
    try:
        return _nest_long(data, datatype) if isinstance(data, LongList) else _nest(data, datatype)
    except (TypeError, ValueError, OverflowError, FloatingPointError) as error:
        foreign = None if isinstance(data, LongList) else _find_foreign(data, datatype)
        if foreign is not None:
            place, value = foreign
            raise MalformedRequestError(
                f"input {quote(name)}: `instances[{place}]` holds {quote(value)}, "
                f"which is no `{datatype.name}`"
            ) from error
        raise MalformedRequestError(
            f"input {quote(name)}: the instances are not all of one shape and of datatype `{datatype.name}`"
        ) from error


def to_json(name: str, array: Array) -> object:
    """The tensor as an object that orjson writes as one flat list; raises `NotExpressibleError` for BF16."""
    check_has_json(name, array)
    return to_writable(np.ascontiguousarray(array).reshape(-1))


def check_has_json(name: str, array: Array) -> None:
    """Raise `NotExpressibleError` for BF16, which has no JSON form."""
    if array.dtype == BFLOAT16:
        raise NotExpressibleError(f"output {quote(name)}: BF16 has no JSON form; ask for binary output")


def check_finite(name: str, array: Array) -> None:
    """Raise `NotExpressibleError` for NaN and infinities, which JSON cannot hold."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise NotExpressibleError(
            f"output {quote(name)} holds NaN or an infinity, which JSON cannot carry; ask for binary output"
        )


def _read_buffer(data: simdjson.Array, datatype: Datatype) -> Array:
    letter, dtype = WIDEST[datatype.dtype.kind]
    return _narrow(np.frombuffer(data.as_buffer(of_type=letter), dtype), datatype)


@np.errstate(over="raise")
def _narrow(wide: NDArray[Any], datatype: Datatype) -> Array:
    """The numbers in the datatype; raises `OverflowError` or `FloatingPointError` for one too large."""
    if wide.dtype == datatype.dtype:
        return wide
    if datatype.dtype.kind in "iu" and wide.size:
        limits = np.iinfo(datatype.dtype.type)  # type: ignore[type-var]  # its kind says it is an integer
        if wide.min() < limits.min or wide.max() > limits.max:
            raise OverflowError
    return wide.astype(datatype.dtype)


def _flatten(data: list[Value], datatype: Datatype) -> Array:
    """All values in order, whatever their nesting, as in simdjson's buffers."""
    try:
        return make_array(data, datatype)
    except TypeError:
        return make_array(list(_walk(data)), datatype)


def _walk(data: list[Value]) -> Iterator[Value]:
    nested = [iter(data)]
    while nested:
        for value in nested[-1]:
            if isinstance(value, list):
                nested.append(iter(value))
                break
            yield value
        else:
            nested.pop()


def _find_foreign(data: list[Value], datatype: Datatype) -> tuple[int, str] | None:
    """The place of the first instance with a value that is none of the datatype, and that value."""
    for place, instance in enumerate(data):
        values_left = _walk([instance])
        while values := list(islice(values_left, PIECE_VALUES)):
            try:
                make_array(values, datatype)
            except (TypeError, OverflowError, FloatingPointError):
                return place, _name_foreign(values, datatype)
    return None


def _name_foreign(values: list[Value], datatype: Datatype) -> str:
    """The first of the values, one of which is none of the datatype, that is none of it: as JSON."""
    for value in values:
        try:
            make_array([value], datatype)
        except (TypeError, OverflowError, FloatingPointError):
            break
    return "an object" if isinstance(value, dict) else json.dumps(value, ensure_ascii=False)


def _flatten_part(part: Part, datatype: Datatype) -> Array:
    if isinstance(part, LongList):
        return _join([_flatten_part(inner, datatype) for inner in part.parts], datatype)
    if isinstance(part, LongObject):
        raise TypeError
    if isinstance(part, list):
        return _flatten(part, datatype)
    return _convert(part.flat if isinstance(part, RaggedNumbers) else part, datatype).reshape(-1)


def _join(arrays: list[Array], datatype: Datatype) -> Array:
    return np.concatenate(arrays) if arrays else np.empty(0, datatype.dtype)


def _nest(data: list[Value], datatype: Datatype) -> Array:
    flat, shape = _unnest(data)
    return make_array(flat, datatype).reshape(shape)


def _nest_long(data: LongList, datatype: Datatype) -> Array:
    rows: list[Array] = []
    for part in data.parts:
        if isinstance(part, LongObject):
            raise TypeError
        if isinstance(part, LongList):
            rows.append(_nest_long(part, datatype)[np.newaxis])
        elif isinstance(part, (list, RaggedNumbers)):
            rows.append(_nest(list(part), datatype))
        else:
            rows.append(_convert(part, datatype))
    if len({array.shape[1:] for array in rows}) > 1:
        raise ValueError
    return _join(rows, datatype)


def _convert(numbers: NDArray[Any], datatype: Datatype) -> Array:
    """The numbers in the datatype, whole ones only where it has no fractions."""
    kinds = "iu" if datatype.dtype.kind in "iu" else "iuf"
    if datatype.dtype.kind not in WIDEST or numbers.dtype.kind not in kinds:
        raise TypeError
    return _narrow(numbers if kinds == "iu" else numbers.astype(np.float64, copy=False), datatype)


def _unnest(data: list[Value]) -> tuple[list[Value], list[int]]:
    """All values in order, and the shape of their nesting; raises `ValueError` for ragged nesting."""
    shape: list[int] = [len(data)]
    while data and isinstance(data[0], list):
        sizes = {len(row) if isinstance(row, list) else -1 for row in data}
        if len(sizes) > 1 or len(shape) == MAX_DEPTH:
            raise ValueError
        shape += sizes
        data = list(chain.from_iterable(data))  # type: ignore[arg-type]  # every row is a list: checked above
    return data, shape


def make_array(values: list[Value], datatype: Datatype) -> Array:
    """The values in the datatype; raises `TypeError` for one of another kind."""
    if len(values) > PIECE_VALUES:
        pieces = (values[start : start + PIECE_VALUES] for start in range(0, len(values), PIECE_VALUES))
        return np.concatenate([make_array(piece, datatype) for piece in pieces])
    kind = datatype.dtype.kind
    if not set(map(type, values)) <= PYTHON_TYPES[kind]:
        raise TypeError
    wide = WIDEST[kind][1] if kind in WIDEST else datatype.dtype
    return _narrow(np.array(values, wide), datatype)
