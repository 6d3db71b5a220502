"""The protocol's messages and services as classes, and the parsing of bytes within bounds."""

from importlib.resources import files
from typing import Any, TypeAlias

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from serve.engine.errors import MalformedRequestError
from serve.grpc.framing import Buffer

Message: TypeAlias = Any
"""A message; its fields are those of `inference.proto`."""
PROTOCOL = "inference.GRPCInferenceService"
# An empty message takes two bytes, and some fifty times as much once parsed; a small message holds few.
SHORT_BYTES = 2**16
MAX_FIELDS = 2**12
VARINT_BYTES = 10
# The wire types of protocol buffers: what follows a field's number.
VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5

POOL = descriptor_pool.DescriptorPool()
for _file in descriptor_pb2.FileDescriptorSet.FromString(
    (files("serve.grpc") / "protocol.binpb").read_bytes()
).file:
    POOL.Add(_file)


def message_class(name: str) -> Any:
    """The class of the message with this full name."""
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(name))


def find_service(name: str) -> Any:
    """The descriptor of the service with this full name."""
    return POOL.FindServiceByName(name)


def parse_message(kind: Any, data: Buffer) -> Message:
    """The message of this class; raises `MalformedRequestError` for other bytes and for too many fields."""
    if len(data) > SHORT_BYTES:
        _check_fields(data)
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise MalformedRequestError(f"the message is no `{kind.DESCRIPTOR.name}`: {error}") from error


def _check_fields(data: Buffer) -> None:
    """Skip over the outermost fields, without parsing them."""
    place = 0
    for _ in range(MAX_FIELDS):
        if place >= len(data):
            return
        key, place = _read_varint(data, place)
        kind = key & 7
        if kind == VARINT:
            _, place = _read_varint(data, place)
        elif kind == LENGTH:
            size, place = _read_varint(data, place)
            place += size
        elif kind in (EIGHT_BYTES, FOUR_BYTES):
            place += 8 if kind == EIGHT_BYTES else 4
        else:
            raise MalformedRequestError(f"the message has a field of the unknown wire type `{kind}`")
    if place < len(data):
        raise MalformedRequestError(f"the message has more than `{MAX_FIELDS}` fields")


def _read_varint(data: Buffer, place: int) -> tuple[int, int]:
    """The number that begins at this place, and the place behind it."""
    value = shift = 0
    for byte in data[place : place + VARINT_BYTES]:
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
    raise MalformedRequestError("the message breaks off, or has a number of more than ten bytes")
