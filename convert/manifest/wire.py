"""An ONNX file read without onnx: its fields, its metadata, and where its weights lie.

Standard library only.

Source: Protocol Buffers, Encoding, https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import NamedTuple

from convert.errors import SourceError

DEEPEST = 64  # messages in one another: a graph in an attribute of a node in a graph is three


class Message(Enum):
    """The messages of onnx.proto on the way to a tensor, and those that are read."""

    MODEL, GRAPH, NODE, ATTRIBUTE, FUNCTION, SPARSE, TENSOR, PAIR, TRAINING = range(9)


# By the number of the field that holds it. Others are passed over.
_PARTS: Mapping[Message, Mapping[int, Message]] = {
    Message.MODEL: {7: Message.GRAPH, 14: Message.PAIR, 20: Message.TRAINING, 25: Message.FUNCTION},
    Message.TRAINING: {1: Message.GRAPH, 2: Message.GRAPH},
    Message.GRAPH: {1: Message.NODE, 5: Message.TENSOR, 15: Message.SPARSE},
    Message.FUNCTION: {7: Message.NODE, 11: Message.ATTRIBUTE},
    Message.NODE: {5: Message.ATTRIBUTE},
    Message.ATTRIBUTE: {
        **{5: Message.TENSOR, 6: Message.GRAPH, 10: Message.TENSOR, 11: Message.GRAPH},
        **{22: Message.SPARSE, 23: Message.SPARSE},
    },
    Message.SPARSE: {1: Message.TENSOR, 2: Message.TENSOR},
    Message.TENSOR: {13: Message.PAIR},
}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def read_metadata(content: bytes) -> dict[str, str]:
    """The entries of the model's metadata; of two with one key the last. Raises SourceError."""
    return {key: value for owner, key, value in _list_pairs(content) if owner is Message.MODEL}


def find_locations(content: bytes) -> set[str]:
    """The files that tensors, wherever they are in the model, take their data from. Raises SourceError."""
    return {
        value for owner, key, value in _list_pairs(content) if owner is Message.TENSOR and key == "location"
    }


def _list_pairs(content: bytes) -> Iterator[tuple[Message, str, str]]:
    """Each pair of a key and a value, and the message that it is in."""
    try:
        yield from _walk(memoryview(content), Message.MODEL, 0)
    except ValueError as error:
        raise SourceError(f"the file is not an ONNX model: {error}") from error


def _walk(content: memoryview, kind: Message, depth: int) -> Iterator[tuple[Message, str, str]]:
    if depth > DEEPEST:
        raise ValueError(f"its messages are more than {DEEPEST} deep")
    for number, value in list_fields(content):
        part = _PARTS[kind].get(number)
        if part is None or isinstance(value, int):
            continue
        if part is Message.PAIR:
            yield kind, read_text(value, 1), read_text(value, 2)
        else:
            yield from _walk(value, part, depth + 1)


def read_text(content: memoryview, field: int) -> str:
    """The text in this field of the message, the last where there are several; empty where there is none.

    Raises ValueError where it is none.
    """
    texts = [
        value for number, value in list_fields(content) if number == field and not isinstance(value, int)
    ]
    return bytes(texts[-1]).decode() if texts else ""


def list_fields(content: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """The number of each field that has bytes or is a whole number of its own length, and that.

    Raises ValueError where the bytes are no fields.
    """
    return ((field.number, field.value) for field in walk_fields(content) if field.value is not None)


class Field(NamedTuple):
    """A field of a message: its number, its place, and its bytes or number; None for one of four or eight."""

    number: int
    start: int
    end: int
    value: memoryview | int | None


def walk_fields(content: memoryview) -> Iterator[Field]:
    """Each field, in order, the next where one ends. Raises ValueError as `list_fields` does."""
    start = 0
    while start < len(content):
        tag, place = _read_varint(content, start)
        kind = tag & 7
        if kind == _VARINT:
            value, end = _read_varint(content, place)
            yield Field(tag >> 3, start, end, value)
            start = end
            continue
        if kind == _BYTES:
            size, place = _read_varint(content, place)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"a field has the unknown type {kind}")
        end = place + size
        if end > len(content):
            raise ValueError("it is truncated")
        yield Field(tag >> 3, start, end, content[place:end] if kind == _BYTES else None)
        start = end


def _read_varint(content: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(content):
            raise ValueError("it is truncated")
        byte = content[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("a number has more than ten bytes")
