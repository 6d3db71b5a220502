"""Inference requests of the Open Inference Protocol v2: JSON and binary tensors, or one raw tensor."""

from collections.abc import Mapping, Sized
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import NamedTuple, TypeVar

from serve.engine.datatypes import BY_NAME, Datatype
from serve.engine.errors import MalformedRequestError, quote, quote_names
from serve.engine.signature import Array, Signature
from serve.protocol.binary import BINARY_SIZE, LENGTH, BinaryInput, BinaryTail, from_binary
from serve.protocol.json_text import LONG_BYTES, Value, parse_json, read_items, read_members, to_python
from serve.protocol.parameters import (
    UNIT,
    check_reserved,
    read_flag,
    read_parameters,
    read_timeout_seconds,
    read_whole_number,
)
from serve.protocol.placements import PlacedInput, Placement, read_placement
from serve.protocol.tensors import from_json

# Each costs microseconds before the model can say that it has no such tensor.
MAX_TENSORS = 1024
MAX_RANK = 32
MAX_SIZE = 2**63 - 1
# Data bound a tensor's size, except when one dimension is 0; then this bounds the others.
MAX_EMPTY_ELEMENTS = 2**26
# The JSON before binary tensors is kept once read, if it is short.
SHORT_HEAD_BYTES = 2**10
SHORT_HEADS = 256
NO_OUTPUTS: Mapping[str, "RequestedOutput"] = {}
T = TypeVar("T")
NOT_PLACED: Mapping[str, PlacedInput] = {}
NO_DATA = memoryview(b"")


@dataclass(frozen=True, slots=True)
class RequestedOutput:
    """How an output is answered: in binary or not, with how many highest scores in its place, and where."""

    binary: bool
    classification: int = 0
    placement: Placement | None = None
    """Its place in shared memory; None for the answer itself."""


class InferRequest(NamedTuple):
    """An inference request: its inputs and the requested outputs by name, and how long it may wait."""

    inputs: Mapping[str, Array]
    outputs: Mapping[str, RequestedOutput] = NO_OUTPUTS
    binary_by_default: bool = False
    id: str | None = None
    timeout_seconds: float | None = None
    placed: Mapping[str, PlacedInput] = NOT_PLACED
    """The inputs that are in shared memory."""
    unit: Value = None
    """The parameter `unit_id`, as it was given."""

    @property
    def has_placements(self) -> bool:
        """Whether any tensor is in shared memory, or is to be."""
        if not self.outputs:
            return bool(self.placed)
        return bool(self.placed) or any(output.placement for output in self.outputs.values())

    def wants_binary(self, output: str) -> bool:
        """Whether the output is answered as a binary tensor."""
        requested = self.outputs.get(output)
        return self.binary_by_default if requested is None else requested.binary


class _RequestHead(NamedTuple):
    """What a request's JSON says; as `InferRequest`, but for binary inputs."""

    inputs: Mapping[str, Array | BinaryInput]
    outputs: Mapping[str, RequestedOutput]
    binary_by_default: bool
    id: str | None
    timeout_seconds: float | None
    placed: Mapping[str, PlacedInput]
    unit: Value


def takes_long_to_read(body: bytes | bytearray, json_bytes: int | None = None) -> bool:
    """Whether reading the request takes a millisecond or more, and so is to be done in a thread.

    That is so for much JSON, and for texts: a number in binary takes no time.
    """
    if len(body) <= LONG_BYTES:
        return False
    size = len(body) if json_bytes is None else json_bytes
    return size > LONG_BYTES or b"BYTES" in body[:size]


def read_request(body: bytes | bytearray, json_bytes: int | None = None) -> InferRequest:
    """The request in a body that starts with `json_bytes` of JSON (None: all); may raise `EngineError`."""
    if json_bytes is None:
        json_bytes = len(body)
    if not 0 <= json_bytes <= len(body):
        raise MalformedRequestError(
            f"`Inference-Header-Content-Length` says `{json_bytes}` bytes of JSON, the body has `{len(body)}`"
        )
    if json_bytes == len(body):
        return _take_binary(_read_head(body), NO_DATA)
    if json_bytes <= SHORT_HEAD_BYTES:
        head = _read_short_head(bytes(body[:json_bytes]))
    else:
        head = _read_head(memoryview(body)[:json_bytes])
    return _take_binary(head, memoryview(body)[json_bytes:])


def _take_binary(head: _RequestHead, data: memoryview) -> InferRequest:
    """The request of the head, whose binary inputs are in the data."""
    inputs: dict[str, Array] = {}
    tail: BinaryTail | None = BinaryTail(data) if data else None
    for name, tensor in head.inputs.items():
        if isinstance(tensor, BinaryInput):
            tail = tail or BinaryTail(data)
            tensor = tail.take(name, tensor)  # noqa: PLW2901  the tensor itself
        inputs[name] = tensor
    if tail is not None:
        tail.check_empty()
    return InferRequest(inputs, *head[1:])


def _read_head(text: bytes | bytearray | memoryview) -> _RequestHead:
    message = read_members(parse_json(text))
    if message is None:
        raise MalformedRequestError("the body is not a JSON object")
    inputs: Mapping[str, Array | BinaryInput]
    inputs, placed = split_placed(_read_inputs(message.get("inputs")))
    outputs = to_python(message.get("outputs"))
    parameters = read_parameters("request", "", to_python(message.get("parameters")))
    timeout = None
    if parameters:
        check_reserved(parameters)
        timeout = read_timeout_seconds(parameters)
    binary = read_flag("request", "", parameters.get("binary_data_output", False), "binary_data_output")
    options = _read_outputs(outputs, binary), binary, _read_id(message.get("id")), timeout
    return _RequestHead(inputs, *options, placed, parameters.get(UNIT))


@lru_cache(SHORT_HEADS)
def _read_short_head(text: bytes) -> _RequestHead:
    """As `_read_head`, and kept: a client's requests often differ in their binary tensors alone."""
    return _read_head(text)


def _read_inputs(entries: object) -> dict[str, Array | BinaryInput | PlacedInput]:
    values = read_items(entries)
    if values is None:
        raise MalformedRequestError("`inputs` is missing or is not a list")
    _check_count("inputs", values)
    tensors: dict[str, Array | BinaryInput | PlacedInput] = {}
    for position, value in enumerate(values):
        entry = read_members(value) or {}
        name = entry.get("name")
        if not isinstance(name, str):
            raise MalformedRequestError(f"`inputs[{position}]` has no `name`")
        if name in tensors:
            raise MalformedRequestError(f"input {quote(name)} already exists in the request")
        tensors[name] = _read_tensor(name, entry)
    return tensors


def split_placed(tensors: Mapping[str, T | PlacedInput]) -> tuple[Mapping[str, T], Mapping[str, PlacedInput]]:
    """The inputs that are in the message, and those that are in shared memory."""
    placed = {name: tensor for name, tensor in tensors.items() if isinstance(tensor, PlacedInput)}
    arrays = {name: tensor for name, tensor in tensors.items() if not isinstance(tensor, PlacedInput)}
    return arrays, placed or NOT_PLACED


def _check_count(kind: str, entries: Sized) -> None:
    if len(entries) > MAX_TENSORS:
        raise MalformedRequestError(f"`{kind}` has `{len(entries)}` entries, at most `{MAX_TENSORS}`")


def _read_tensor(name: str, entry: Mapping[str, object]) -> Array | BinaryInput | PlacedInput:
    shape = read_shape(name, to_python(entry.get("shape")))
    datatype = read_datatype(name, entry.get("datatype"))
    parameters = read_parameters("input", name, to_python(entry.get("parameters")))
    data = entry.get("data")
    placement = read_placement("input", name, parameters)
    if placement is not None:
        if data is not None or BINARY_SIZE in parameters:
            raise MalformedRequestError(f"input {quote(name)} is in shared memory and in the message")
        return PlacedInput(placement, datatype, shape)
    if BINARY_SIZE not in parameters:
        if data is None:
            raise MalformedRequestError(f"input {quote(name)} has neither `data` nor `{BINARY_SIZE}`")
        return from_json(name, data, datatype, shape)
    if data is not None:
        raise MalformedRequestError(f"input {quote(name)} has both `data` and `{BINARY_SIZE}`")
    return BinaryInput(datatype, shape, parameters[BINARY_SIZE])


def read_shape(name: str, shape: Value) -> list[int]:
    """The input's shape; raises `MalformedRequestError` for an invalid one."""
    # A loop: a generator would cost more than the checks themselves.
    sizes: list[int] = []
    for dim in shape if isinstance(shape, list) else [None]:
        if type(dim) is not int or not 0 <= dim <= MAX_SIZE:
            raise MalformedRequestError(
                f"input {quote(name)}: `shape` is not a list of sizes, got {quote(shape)}"
            )
        sizes.append(dim)
    if len(sizes) > MAX_RANK:
        raise MalformedRequestError(
            f"input {quote(name)}: `shape` has `{len(sizes)}` dimensions, at most `{MAX_RANK}`"
        )
    if 0 in sizes and prod(size for size in sizes if size) > MAX_EMPTY_ELEMENTS:
        raise MalformedRequestError(
            f"input {quote(name)}: `shape` {quote(sizes)} is too large for an empty tensor"
        )
    return sizes


def read_datatype(name: str, datatype: object) -> Datatype:
    """The input's datatype; raises `MalformedRequestError` for one that the protocol does not have."""
    if isinstance(datatype, str) and datatype in BY_NAME:
        return BY_NAME[datatype]
    raise MalformedRequestError(
        f"input {quote(name)}: {quote(to_python(datatype))} is not a `datatype`; "
        f"expected: {quote_names(list(BY_NAME))}"
    )


def _read_outputs(entries: Value, binary_by_default: bool) -> Mapping[str, RequestedOutput]:
    if entries is None:
        return NO_OUTPUTS
    if not isinstance(entries, list):
        raise MalformedRequestError("`outputs` is not a list")
    _check_count("outputs", entries)
    outputs: dict[str, RequestedOutput] = {}
    for position, entry in enumerate(entries):
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or not isinstance(name, str):
            raise MalformedRequestError(f"`outputs[{position}]` has no `name`")
        if name in outputs:
            raise MalformedRequestError(f"output {quote(name)} already exists in the request")
        outputs[name] = _read_output(name, entry.get("parameters"), binary_by_default)
    return outputs


def _read_output(name: str, entries: Value, binary_by_default: bool) -> RequestedOutput:
    parameters = read_parameters("output", name, entries)
    return make_requested_output(
        name,
        read_flag("output", name, parameters.get("binary_data", binary_by_default), "binary_data"),
        parameters,
    )


def make_requested_output(name: str, binary: bool, parameters: Mapping[str, Value]) -> RequestedOutput:
    """The output as its parameters ask for it; raises `MalformedRequestError`."""
    count = read_whole_number("output", name, parameters.get("classification", 0), "classification")
    placement = read_placement("output", name, parameters)
    if count and placement is not None:
        raise MalformedRequestError(f"output {quote(name)}: a classification is not put into shared memory")
    return RequestedOutput(binary, count, placement)


def _read_id(identity: object) -> str | None:
    if identity is None or isinstance(identity, str):
        return identity
    raise MalformedRequestError(f"`id` is not a string, got {quote(to_python(identity))}")


def read_raw_request(body: bytes | bytearray, signature: Signature) -> InferRequest:
    """The request that is nothing but its only input's bytes; every output is to be binary."""
    if len(signature.inputs) != 1:
        raise MalformedRequestError(
            "a raw binary body needs a model with one input; "
            f"this one has {quote_names([spec.name for spec in signature.inputs])}"
        )
    spec = signature.inputs[0]
    shape = spec.dims
    if spec.datatype.name == "BYTES":
        # The body is one string, with nothing before it.
        data = memoryview(LENGTH.pack(len(body)) + bytes(body))
        return InferRequest(
            {spec.name: from_binary(spec.name, data, spec.datatype, [max(dim, 1) for dim in shape])},
            binary_by_default=True,
        )
    if shape.count(-1) > 1:
        raise MalformedRequestError(
            f"a raw binary body needs an input with at most one size that varies; "
            f"input {quote(spec.name)} has `{shape}`"
        )
    row = prod(dim for dim in shape if dim != -1) * spec.datatype.dtype.itemsize
    shape = [len(body) // row if row and dim == -1 else dim for dim in shape]
    return InferRequest(
        {spec.name: from_binary(spec.name, memoryview(body), spec.datatype, [max(dim, 0) for dim in shape])},
        binary_by_default=True,
    )
