"""The protocol's binary tensors, to and from numpy arrays; the client uses them too."""

import struct
from collections.abc import Sequence
from itertools import chain
from math import prod
from typing import NamedTuple

import numpy as np

from serve.engine.datatypes import BY_DTYPE, Datatype
from serve.engine.errors import MalformedRequestError, quote
from serve.engine.signature import Array

BINARY_SIZE = "binary_data_size"
"""The parameter with the bytes of a binary tensor."""
LENGTH = struct.Struct("<I")
# Copying so many bytes takes a fraction of a millisecond, in which no other thread runs.
PIECE_BYTES = 2**20
# A string costs some 60 bytes of memory beside its text, and only four of a body.
MAX_STRINGS = 4 * 2**20


def from_binary(
    name: str, data: memoryview, datatype: Datatype, shape: Sequence[int], kind: str = "input"
) -> Array:
    """The tensor whose little-endian, row-major bytes these are; raises `MalformedRequestError`."""
    if datatype.name == "BYTES":
        return reshape(name, _read_strings(name, data, prod(shape), kind), shape, kind)
    expected = prod(shape) * datatype.dtype.itemsize
    if len(data) != expected:
        raise MalformedRequestError(
            f"{kind} {quote(name)}: shape `{list(shape)}` of `{datatype.name}` takes `{expected}` bytes, "
            f"got `{len(data)}`"
        )
    flat = np.frombuffer(data, datatype.dtype)
    if datatype.name == "BOOL" and flat.view(np.uint8).max(initial=0) > 1:
        raise MalformedRequestError(f"{kind} {quote(name)}: a BOOL is a byte `0` or `1`")
    # A header of odd length leaves the numbers behind it unaligned, which kernels need not support.
    return (flat if flat.flags.aligned else flat.copy()).reshape(shape)


class BinaryInput(NamedTuple):
    """An input whose bytes follow the JSON."""

    datatype: Datatype
    shape: Sequence[int]
    size: object
    """As the request says; `BinaryTail` checks it."""


class BinaryTail:
    """The binary tensors after the JSON, taken in the order of the inputs."""

    def __init__(self, data: memoryview) -> None:
        """Nothing is taken yet."""
        self._data = data
        self._taken = 0

    def take(self, name: str, tensor: BinaryInput) -> Array:
        """The next tensor; raises `MalformedRequestError` where it is not there, or has another size."""
        size = tensor.size
        if type(size) is not int or size < 0 or self._taken + size > len(self._data):
            left = len(self._data) - self._taken
            raise MalformedRequestError(
                f"input {quote(name)}: `{BINARY_SIZE}` is {quote(size)}, "
                f"but `{left}` bytes are left in the body"
            )
        self._taken += size
        data = self._data[self._taken - size : self._taken]
        return from_binary(name, data, tensor.datatype, tensor.shape)

    def check_empty(self) -> None:
        """Raise `MalformedRequestError` if bytes are left."""
        left = len(self._data) - self._taken
        if left:
            raise MalformedRequestError(f"`{left}` bytes after the JSON belong to no input's `{BINARY_SIZE}`")


def to_binary(array: Array) -> bytes:
    """The tensor's little-endian, row-major bytes; each string is its length and its UTF-8."""
    if array.dtype != np.object_:
        return array.tobytes()
    encoded = [text if isinstance(text, bytes) else str(text).encode() for text in array.flat]
    return b"".join(chain.from_iterable((LENGTH.pack(len(text)), text) for text in encoded))


def view_binary(array: Array) -> bytes | memoryview:
    """The bytes of `to_binary`, not copied where they are numbers in one piece of memory."""
    if array.dtype == np.object_:
        return to_binary(array)
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def to_binary_pieces(array: Array) -> list[bytes]:
    """The bytes of `to_binary`, in pieces of at most PIECE_BYTES where they are numbers."""
    if array.dtype == np.object_ or array.nbytes <= PIECE_BYTES:
        return [to_binary(array)]
    flat = np.ascontiguousarray(array).reshape(-1)
    step = PIECE_BYTES // array.itemsize
    return [flat[start : start + step].tobytes() for start in range(0, flat.size, step)]


def datatype_name(array: Array) -> str:
    """The protocol's name for the array's dtype."""
    return BY_DTYPE[array.dtype].name


def reshape(name: str, flat: Array, shape: Sequence[int], kind: str = "input") -> Array:
    """The values in this shape; raises `MalformedRequestError` for another number of values."""
    if flat.size != prod(shape):
        raise MalformedRequestError(
            f"{kind} {quote(name)}: shape `{list(shape)}` takes `{prod(shape)}` values, got `{flat.size}`"
        )
    return flat.reshape(shape)


def _read_strings(name: str, data: memoryview, count: int, kind: str) -> Array:
    if count > MAX_STRINGS:
        raise MalformedRequestError(f"{kind} {quote(name)} has `{count}`, at most `{MAX_STRINGS}` strings")
    if count * LENGTH.size > len(data):
        raise MalformedRequestError(
            f"{kind} {quote(name)}: expected `{count}` strings, got `{len(data)}` bytes, which hold fewer"
        )
    texts: list[str] = []
    position = 0
    while position < len(data):
        if len(texts) == count:
            raise MalformedRequestError(f"{kind} {quote(name)}: expected `{count}` strings, got more")
        start = position + LENGTH.size
        if start > len(data):
            raise MalformedRequestError(f"{kind} {quote(name)}: a string's length is cut off")
        (length,) = LENGTH.unpack_from(data, position)
        position = start + length
        if position > len(data):
            raise MalformedRequestError(
                f"{kind} {quote(name)}: a string of `{length}` bytes reaches beyond its tensor"
            )
        texts.append(_decode(name, data[start:position], kind))
    if len(texts) != count:
        raise MalformedRequestError(f"{kind} {quote(name)}: expected `{count}` strings, got `{len(texts)}`")
    return np.array(texts, np.object_)


def _decode(name: str, text: memoryview, kind: str) -> str:
    try:
        return str(text, "utf-8")
    except UnicodeDecodeError as error:
        raise MalformedRequestError(
            f"{kind} {quote(name)}: a string is not UTF-8, the encoding of the model's strings"
        ) from error
