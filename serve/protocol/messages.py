"""Inference messages of the Open Inference Protocol v2: read a request, write a reply."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

import orjson

from serve.engine.datatypes import BY_NAME, Datatype
from serve.engine.errors import MalformedRequestError, UnsupportedError, listed, quoted
from serve.engine.signature import Array, Signature
from serve.protocol.tensors import check_finite, datatype_name, from_binary, from_json, to_binary, to_json
from serve.protocol.text import Value, items, members, parse_json, plain

MAX_RANK = 32
MAX_SIZE = 2**63 - 1
# Data bound a tensor's size, except when one dimension is 0; then this bounds the others.
MAX_EMPTY_ELEMENTS = 2**26
BINARY_SIZE = "binary_data_size"
UNSUPPORTED = ("shared_memory_region", "classification")


@dataclass(frozen=True, slots=True)
class InferRequest:
    """What a client asks: its inputs by name, and which outputs it wants, binary or not."""

    inputs: Mapping[str, Array]
    outputs: Mapping[str, bool] = field(default_factory=dict)
    binary_by_default: bool = False
    id: str | None = None

    def wants_binary(self, output: str) -> bool:
        """Whether this output is to be answered as a binary tensor."""
        return self.outputs.get(output, self.binary_by_default)


@dataclass(frozen=True, slots=True)
class InferReply:
    """The body of a reply, and how many of its bytes are JSON if binary tensors follow them."""

    body: bytes
    json_bytes: int | None


class _Tail:
    """The binary tensors after the JSON, taken in the order of the inputs."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._taken = 0

    def take(self, name: str, size: Value) -> memoryview:
        if type(size) is not int or size < 0 or self._taken + size > len(self._data):
            left = len(self._data) - self._taken
            raise MalformedRequestError(
                f"input {quoted(name)}: `{BINARY_SIZE}` is {quoted(size)}, "
                f"but `{left}` bytes are left in the body"
            )
        self._taken += size
        return self._data[self._taken - size : self._taken]

    def check_used_up(self) -> None:
        left = len(self._data) - self._taken
        if left:
            raise MalformedRequestError(f"`{left}` bytes after the JSON belong to no input's `{BINARY_SIZE}`")


def read_request(body: bytes | bytearray, json_bytes: int | None = None) -> InferRequest:
    """The request in a body that starts with `json_bytes` of JSON (None: all); may raise `EngineError`."""
    if json_bytes is None:
        json_bytes = len(body)
    if not 0 <= json_bytes <= len(body):
        raise MalformedRequestError(
            f"`Inference-Header-Content-Length` says `{json_bytes}` bytes of JSON, the body has `{len(body)}`"
        )
    whole = memoryview(body)
    message = members(parse_json(body if json_bytes == len(body) else whole[:json_bytes]))
    if message is None:
        raise MalformedRequestError("the body is not a JSON object")
    tail = _Tail(whole[json_bytes:])
    inputs = _read_inputs(message.get("inputs"), tail)
    tail.check_used_up()
    outputs = plain(message.get("outputs"))
    parameters = _parameters("request", "", plain(message.get("parameters")))
    binary = _flag("request", "", parameters.get("binary_data_output", False), "binary_data_output")
    return InferRequest(inputs, _read_outputs(outputs, binary), binary, _identity(message.get("id")))


def read_raw_request(body: bytes | bytearray, signature: Signature) -> InferRequest:
    """The request that is nothing but its only input's bytes; every output is to be binary."""
    if len(signature.inputs) != 1:
        raise MalformedRequestError(
            "a raw binary body needs a model with one input; "
            f"this one has {listed([spec.name for spec in signature.inputs])}"
        )
    spec = signature.inputs[0]
    shape = spec.dims
    if spec.datatype.name == "BYTES":
        # The body is one string, with nothing before it.
        data = memoryview(len(body).to_bytes(4, "little") + bytes(body))
        return InferRequest(
            {spec.name: from_binary(spec.name, data, spec.datatype, [max(dim, 1) for dim in shape])},
            binary_by_default=True,
        )
    if shape.count(-1) > 1:
        raise MalformedRequestError(
            f"a raw binary body needs an input with at most one size that varies; "
            f"input {quoted(spec.name)} has `{shape}`"
        )
    row = prod(dim for dim in shape if dim != -1) * spec.datatype.dtype.itemsize
    shape = [len(body) // row if row and dim == -1 else dim for dim in shape]
    return InferRequest(
        {spec.name: from_binary(spec.name, memoryview(body), spec.datatype, [max(dim, 0) for dim in shape])},
        binary_by_default=True,
    )


def write_reply(model: str, version: str, request: InferRequest, outputs: Mapping[str, Array]) -> InferReply:
    """The answer to the request; raises `NotExpressibleError` for values that JSON cannot carry."""
    described: list[dict[str, object]] = []
    message: dict[str, object] = {"model_name": model, "model_version": version, "outputs": described}
    if request.id is not None:
        message["id"] = request.id
    tensors: list[bytes] = []
    for name, array in outputs.items():
        entry: dict[str, object] = {"name": name, "datatype": datatype_name(array), "shape": array.shape}
        if request.wants_binary(name):
            tensors.append(to_binary(array))
            entry["parameters"] = {BINARY_SIZE: len(tensors[-1])}
        else:
            entry["data"] = to_json(name, array)
        described.append(entry)
    text = orjson.dumps(message, option=orjson.OPT_SERIALIZE_NUMPY)
    # orjson writes null for NaN and infinities: looking for it is quicker than looking at every number.
    if b"null" in text:
        for name in outputs:
            if not request.wants_binary(name):
                check_finite(name, outputs[name])
    if not tensors:
        return InferReply(text, None)
    return InferReply(b"".join((text, *tensors)), len(text))


def _read_inputs(entries: object, tail: _Tail) -> dict[str, Array]:
    found = items(entries)
    if found is None:
        raise MalformedRequestError("`inputs` is missing or is not a list")
    inputs: dict[str, Array] = {}
    for position, value in enumerate(found):
        entry = members(value) or {}
        name = entry.get("name")
        if not isinstance(name, str):
            raise MalformedRequestError(f"`inputs[{position}]` has no `name`")
        if name in inputs:
            raise MalformedRequestError(f"input {quoted(name)} already exists in the request")
        inputs[name] = _read_tensor(name, entry, tail)
    return inputs


def _read_tensor(name: str, entry: Mapping[str, object], tail: _Tail) -> Array:
    shape = _shape(name, plain(entry.get("shape")))
    datatype = _datatype(name, entry.get("datatype"))
    parameters = _parameters("input", name, plain(entry.get("parameters")))
    data = entry.get("data")
    if BINARY_SIZE not in parameters:
        if data is None:
            raise MalformedRequestError(f"input {quoted(name)} has neither `data` nor `{BINARY_SIZE}`")
        return from_json(name, data, datatype, shape)
    if data is not None:
        raise MalformedRequestError(f"input {quoted(name)} has both `data` and `{BINARY_SIZE}`")
    return from_binary(name, tail.take(name, parameters[BINARY_SIZE]), datatype, shape)


def _shape(name: str, shape: Value) -> list[int]:
    if not isinstance(shape, list) or any(type(dim) is not int or not 0 <= dim <= MAX_SIZE for dim in shape):
        raise MalformedRequestError(
            f"input {quoted(name)}: `shape` is not a list of sizes, got {quoted(shape)}"
        )
    if len(shape) > MAX_RANK:
        raise MalformedRequestError(
            f"input {quoted(name)}: `shape` has `{len(shape)}` dimensions, at most `{MAX_RANK}`"
        )
    sizes = [dim for dim in shape if isinstance(dim, int)]
    if 0 in sizes and prod(size for size in sizes if size) > MAX_EMPTY_ELEMENTS:
        raise MalformedRequestError(
            f"input {quoted(name)}: `shape` {quoted(sizes)} is too large for an empty tensor"
        )
    return sizes


def _datatype(name: str, datatype: object) -> Datatype:
    if isinstance(datatype, str) and datatype in BY_NAME:
        return BY_NAME[datatype]
    raise MalformedRequestError(
        f"input {quoted(name)}: {quoted(datatype)} is not a `datatype`; expected: {listed(list(BY_NAME))}"
    )


def _read_outputs(entries: Value, binary_by_default: bool) -> dict[str, bool]:
    if entries is None:
        return {}
    if not isinstance(entries, list):
        raise MalformedRequestError("`outputs` is not a list")
    outputs: dict[str, bool] = {}
    for position, entry in enumerate(entries):
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or not isinstance(name, str):
            raise MalformedRequestError(f"`outputs[{position}]` has no `name`")
        if name in outputs:
            raise MalformedRequestError(f"output {quoted(name)} already exists in the request")
        parameters = _parameters("output", name, entry.get("parameters"))
        outputs[name] = _flag("output", name, parameters.get("binary_data", binary_by_default), "binary_data")
    return outputs


def _parameters(kind: str, name: str, parameters: Value) -> dict[str, Value]:
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise MalformedRequestError(f"{_where(kind, name)}: `parameters` is not an object")
    for parameter in UNSUPPORTED:
        if parameter in parameters:
            raise UnsupportedError(
                f"{_where(kind, name)}: parameter `{parameter}` is not supported by this server"
            )
    return parameters


def _flag(kind: str, name: str, value: Value, parameter: str) -> bool:
    if isinstance(value, bool):
        return value
    raise MalformedRequestError(
        f"{_where(kind, name)}: `{parameter}` is not true or false, got {quoted(value)}"
    )


def _where(kind: str, name: str) -> str:
    return f"{kind} {quoted(name)}" if name else f"the {kind}"


def _identity(identity: object) -> str | None:
    if identity is None or isinstance(identity, str):
        return identity
    raise MalformedRequestError(f"`id` is not a string, got {quoted(identity)}")
