"""The messages and services of the .proto files, as classes.

They are made from `protocol.binpb`, which the compiler writes from the .proto files, by:

    python -m grpc_tools.protoc -I serve/grpc --descriptor_set_out serve/grpc/protocol.binpb \\
        serve/grpc/inference.proto serve/grpc/health.proto

The compiler's own Python files would name the messages to the whole process, and clients of the protocol
name theirs so too: one process could not hold both. These stay in a pool of their own.
"""

from importlib.resources import files
from typing import Any, TypeAlias

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

Message: TypeAlias = Any
"""A message; its fields are those of the .proto file."""

PROTOCOL = "inference.GRPCInferenceService"
HEALTH = "grpc.health.v1.Health"

POOL = descriptor_pool.DescriptorPool()
for _file in descriptor_pb2.FileDescriptorSet.FromString(
    (files("serve.grpc") / "protocol.binpb").read_bytes()
).file:
    POOL.Add(_file)


def message_class(name: str) -> Any:
    """The class of the messages of this full name."""
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(name))


def service(name: str) -> Any:
    """The descriptor of the service of this full name."""
    return POOL.FindServiceByName(name)
