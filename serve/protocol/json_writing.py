"""Arrays as JSON; large ones in pieces, so that other threads run in between."""

from collections.abc import Sequence

import numpy as np
import orjson

from serve.engine.signature import Array

# Writing so many values takes a millisecond or less, in which no other thread runs.
PIECE_VALUES = 2**14


def write_json(value: object) -> bytes:
    """The value as JSON, with `null` for NaN and infinities in arrays."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def to_writable(array: Array) -> object:
    """The array, as nested as its shape, as an object that `write_json` takes."""
    if array.size <= PIECE_VALUES:
        return array.tolist() if array.dtype == np.object_ else np.ascontiguousarray(array)
    return orjson.Fragment(_write_pieces(array))


def write_rows(rows: Sequence[object], values_per_row: int) -> orjson.Fragment:
    """The rows as a list, for `write_json`; each with about so many values."""
    step = max(1, PIECE_VALUES // max(1, values_per_row))
    pieces = (write_json(rows[start : start + step])[1:-1] for start in range(0, len(rows), step))
    return orjson.Fragment(b"[%s]" % b",".join(pieces))


def _write_pieces(array: Array) -> bytes:
    values_per_row = array.size // len(array)
    if values_per_row > PIECE_VALUES:
        return b"[%s]" % b",".join(map(_write_pieces, array))
    step = PIECE_VALUES // values_per_row
    pieces = (array[start : start + step] for start in range(0, len(array), step))
    return b"[%s]" % b",".join(write_json(to_writable(piece))[1:-1] for piece in pieces)
