"""The raw binary request: a body that is nothing but its only input's bytes."""

from math import prod

from serve.engine.errors import MalformedRequestError, listed, quoted
from serve.engine.signature import Signature
from serve.protocol.binary import LENGTH, from_binary
from serve.protocol.messages import InferRequest


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
        data = memoryview(LENGTH.pack(len(body)) + bytes(body))
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
