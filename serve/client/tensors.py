"""Messages of named tensors, in binary and in JSON, to and from numpy arrays."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from serve.client.errors import InvalidInputError, InvalidReplyError
from serve.client.replies import Json, JsonObject
from serve.engine.datatypes import BFLOAT16, BY_DTYPE, BY_NAME, DATATYPES, Datatype
from serve.engine.errors import MalformedRequestError, quote, quote_names
from serve.engine.signature import Array
from serve.protocol.binary import from_binary, reshape, to_binary

Encoding = Literal["binary", "json"]
MAX_RANK = 32
# The Python types of JSON's values, by the kind of a dtype: `true` is no 1, and 1.5 no whole number.
JSON_TYPES: dict[str, set[type]] = {"b": {bool}, "i": {int}, "u": {int}, "f": {int, float}, "O": {str}}
SIZE = "binary_data_size"


@dataclass(frozen=True, slots=True)
class MessageTensors:
    """Tensors described for the JSON of a message, and the bytes that follow it."""

    described: list[dict[str, Json]]
    tail: list[bytes]


def describe_tensors(arrays: Mapping[str, Array], encoding: Encoding) -> MessageTensors:
    """The arrays for a message; raises `InvalidInputError` for a dtype that the protocol does not have."""
    entries: list[dict[str, Json]] = []
    tail: list[bytes] = []
    for name, array in arrays.items():
        plain = convert_dtype(name, array)
        entry: dict[str, Json] = {
            "name": name,
            "shape": list(plain.shape),
            "datatype": BY_DTYPE[plain.dtype].name,
        }
        if encoding == "binary":
            tail.append(to_binary(plain))
            entry["parameters"] = {SIZE: len(tail[-1])}
        else:
            entry["data"] = _list_values(name, plain)
        entries.append(entry)
    return MessageTensors(entries, tail)


def convert_dtype(name: str, array: Array) -> Array:
    """The array in a dtype of the protocol's table, with the same values; raises `InvalidInputError`."""
    array = np.asarray(array)
    if array.dtype.kind in "US":
        return array.astype(np.object_)
    if array.dtype.kind == "O" and not all(isinstance(value, str | bytes) for value in array.flat):
        raise InvalidInputError(f"input {quote(name)} has dtype `object` and holds other than texts")
    # The dtype of the ml_dtypes package, which torch and JAX use too; its bits are those of ours.
    if array.dtype.name == "bfloat16":
        return np.ascontiguousarray(array).view(BFLOAT16).reshape(array.shape)
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("<"))
    if array.dtype not in BY_DTYPE:
        raise InvalidInputError(
            f"input {quote(name)} has dtype `{array.dtype}`, which the protocol does not have; "
            f"it has {quote_names([datatype.name for datatype in DATATYPES])}"
        )
    return array


def read_tensors(entries: Iterator[JsonObject], tail: memoryview, kind: str) -> dict[str, Array]:
    """The arrays that a message describes, by name; raises `InvalidReplyError`."""
    arrays: dict[str, Array] = {}
    for entry in entries:
        name = entry.text("name")
        datatype, shape = _find_datatype(name, entry.text("datatype")), entry.wholes("shape")
        if len(shape) > MAX_RANK or any(size < 0 for size in shape):
            raise InvalidReplyError(f"{kind} {quote(name)} has no possible shape: `{list(shape)[:MAX_RANK]}`")
        try:
            if "data" in entry:
                values = array_from_json(entry.values("data"), datatype)
                arrays[name] = reshape(name, values.reshape(-1), shape, kind)
            else:
                size = entry.object("parameters").whole(SIZE)
                if not 0 <= size <= len(tail):
                    raise InvalidReplyError(
                        f"{kind} {quote(name)} has `{size}` bytes, but `{len(tail)}` are left in the reply"
                    )
                arrays[name] = from_binary(name, tail[:size], datatype, shape, kind)
                tail = tail[size:]
        except (MalformedRequestError, ValueError, OverflowError) as error:
            raise InvalidReplyError(f"the reply cannot be read: {error}") from error
    if len(tail):
        raise InvalidReplyError(f"`{len(tail)}` bytes of the reply belong to no {kind}")
    return arrays


def array_from_json(data: list[Json], datatype: Datatype) -> Array:
    """JSON data, flat or nested, with the same values; raises `MalformedRequestError`."""
    if datatype.dtype == BFLOAT16:
        raise MalformedRequestError("BF16 has no JSON form")
    values = np.array(data, np.object_)
    wrong = [value for value in values.flat if type(value) not in JSON_TYPES[datatype.dtype.kind]]
    if wrong:
        raise MalformedRequestError(f"`{json.dumps(wrong[0])[:40]}` is no value of {datatype.name}")
    try:
        with np.errstate(over="raise"):
            return values.astype(datatype.dtype)
    except (OverflowError, FloatingPointError) as error:
        raise MalformedRequestError(f"a number is too large for {datatype.name}") from error


def join_message(head: Mapping[str, Json], tensors: MessageTensors) -> tuple[bytes, int]:
    """The message's body, and how many of its bytes are JSON."""
    text = json.dumps(head, separators=(",", ":")).encode()
    return b"".join((text, *tensors.tail)), len(text)


def _list_values(name: str, array: Array) -> list[Json]:
    if array.dtype == BFLOAT16:
        raise InvalidInputError(f"input {quote(name)}: BF16 has no JSON form; send it in binary")
    values: list[Json] = array.reshape(-1).tolist()
    if any(isinstance(value, bytes) for value in values):
        raise InvalidInputError(
            f"input {quote(name)} holds bytes, which JSON cannot carry; send it in binary"
        )
    return values


def _find_datatype(tensor: str, name: str) -> Datatype:
    if name not in BY_NAME:
        raise InvalidReplyError(f"tensor {quote(tensor)} has an unknown datatype {quote(name)}")
    return BY_NAME[name]
