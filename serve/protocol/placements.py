"""Tensors in shared memory: where requests say that inputs are, and where outputs are to go."""

from collections.abc import Mapping
from typing import NamedTuple

from serve.engine.datatypes import Datatype
from serve.engine.errors import MalformedRequestError, quote
from serve.protocol.json_text import Value
from serve.protocol.parameters import describe, read_whole_number

REGION, SIZE, OFFSET = "shared_memory_region", "shared_memory_byte_size", "shared_memory_offset"


class Placement(NamedTuple):
    """Bytes of a registered region of shared memory."""

    region: str
    size: int
    offset: int = 0

    def write_parameters(self) -> dict[str, str | int]:
        """The protocol's parameters of a tensor that is there."""
        parameters: dict[str, str | int] = {REGION: self.region, SIZE: self.size}
        return {**parameters, OFFSET: self.offset} if self.offset else parameters


class PlacedInput(NamedTuple):
    """An input whose bytes are in shared memory."""

    placement: Placement
    datatype: Datatype
    shape: list[int]


class PlacedOutput(NamedTuple):
    """An output whose bytes were written into shared memory."""

    placement: Placement
    datatype: str
    shape: tuple[int, ...]


def read_placement(kind: str, name: str, parameters: Mapping[str, Value]) -> Placement | None:
    """The tensor's place, None if it is in the message; raises `MalformedRequestError` for an invalid one."""
    if REGION not in parameters:
        return None
    region = parameters[REGION]
    if not isinstance(region, str) or not region:
        raise MalformedRequestError(f"{describe(kind, name)}: `{REGION}` is {quote(region)}, expected a name")
    return Placement(
        region,
        read_whole_number(kind, name, parameters.get(SIZE), SIZE),
        read_whole_number(kind, name, parameters.get(OFFSET, 0), OFFSET),
    )
