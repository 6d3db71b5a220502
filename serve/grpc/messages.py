"""The protocol's messages and services as classes, and the parsing of bytes within bounds."""

from importlib.resources import files
from typing import Any, TypeAlias

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from serve.engine.errors import MalformedRequestError
from serve.grpc.framing import Buffer
from serve.grpc.wire import check_fields

Message: TypeAlias = Any
"""A message; its fields are those of `inference.proto`."""
PROTOCOL = "inference.GRPCInferenceService"
# An empty message takes two bytes, and some fifty times as much once parsed; a small message holds few.
SHORT_BYTES = 2**16

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
        check_fields(data)
    message = kind()
    merge(message, data)
    return message


def merge(message: Message, data: Buffer) -> None:
    """Add the fields in these bytes to the message; raises `MalformedRequestError` for others."""
    try:
        message.MergeFromString(data)
    except DecodeError as error:
        raise MalformedRequestError(f"the message is no `{message.DESCRIPTOR.name}`: {error}") from error
