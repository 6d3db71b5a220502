"""Inference messages to arrays, and arrays to inference messages."""

from collections.abc import Mapping, Sequence

import numpy as np

from serve.engine.datatypes import Datatype
from serve.engine.errors import MalformedRequestError, listed, quoted
from serve.engine.signature import Array
from serve.grpc.messages import Message, message_class
from serve.protocol.binary import MAX_STRINGS, datatype_name, from_binary, shaped, to_binary
from serve.protocol.json_text import Value
from serve.protocol.messages import InferRequest, RequestedOutput, read_datatype, read_shape
from serve.protocol.parameters import check_reserved, read_parameters, timeout_seconds, whole_number
from serve.protocol.replies import classified

InferResponse = message_class("inference.ModelInferResponse")

# Of `contents`, where the values of each datatype are; what is missing here has no such place.
CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def read_infer(message: Message) -> InferRequest:
    """The request in a `ModelInferRequest`; may raise `MalformedRequestError` or `UnsupportedError`."""
    # Slices, here and below: they are lists at once, while iteration asks for one element after the other.
    entries, raw = message.inputs[:], message.raw_input_contents[:]
    if raw and len(raw) != len(entries):
        raise MalformedRequestError(
            f"`raw_input_contents` holds `{len(raw)}` tensors for `{len(entries)}` inputs; "
            "expected one for each, in the same order, or none"
        )
    inputs: dict[str, Array] = {}
    for position, entry in enumerate(entries):
        name = entry.name
        if name in inputs:
            raise MalformedRequestError(f"input {quoted(name)} already exists in the request")
        inputs[name] = _read_input(entry, raw[position] if raw else None)
    outputs = _read_outputs(message.outputs[:])
    if not message.parameters:
        return InferRequest(inputs, outputs, True, message.id)
    parameters = read_parameters("request", "", _plain(message.parameters))
    check_reserved(parameters)
    return InferRequest(inputs, outputs, True, message.id, timeout_seconds(parameters))


def write_infer(
    model: str, version: str, request: InferRequest, outputs: Mapping[str, Array], classes: Sequence[str]
) -> Message:
    """The `ModelInferResponse`, with every tensor as its bytes.

    Raises `MalformedRequestError` for a classification of what has no scores.
    """
    if request.outputs:
        outputs = classified(request, outputs, classes)
    reply = InferResponse(model_name=model, model_version=version, id=request.id)
    for name, array in outputs.items():
        reply.outputs.add(name=name, datatype=datatype_name(array), shape=array.shape)
        reply.raw_output_contents.append(to_binary(array))
    return reply


def _read_input(entry: Message, raw: bytes | None) -> Array:
    name = entry.name
    datatype, shape = read_datatype(name, entry.datatype), read_shape(name, entry.shape[:])
    if entry.parameters:
        read_parameters("input", name, _plain(entry.parameters))
    if raw is None:
        return shaped(name, _read_contents(name, entry.contents, datatype), shape)
    # Some clients send `contents` with nothing in it beside the bytes.
    if entry.HasField("contents") and entry.contents.ListFields():
        raise MalformedRequestError(f"input {quoted(name)} has both `contents` and `raw_input_contents`")
    return from_binary(name, memoryview(raw), datatype, shape)


def _read_contents(name: str, contents: Message, datatype: Datatype) -> Array:
    """The flat values; raises `MalformedRequestError` for those of another datatype, or too large for it."""
    place = CONTENTS.get(datatype.name)
    given = [field.name for field, _ in contents.ListFields()]
    if place is None:
        raise MalformedRequestError(
            f"input {quoted(name)}: {datatype.name} has no place in `contents`; "
            "send it in `raw_input_contents`"
        )
    if given not in ([place], []):
        raise MalformedRequestError(
            f"input {quoted(name)}: a {datatype.name} is in `{place}`, got {listed(given)}"
        )
    values = getattr(contents, place)
    if datatype.name == "BYTES":
        return _texts(name, values)
    dtype = datatype.dtype
    wide = dtype if dtype.kind in "bf" else np.dtype(np.uint64 if dtype.kind == "u" else np.int64)
    flat = np.fromiter(values, wide, len(values))
    narrow = flat.astype(dtype)
    if dtype.kind in "iu" and not np.array_equal(narrow, flat):
        raise MalformedRequestError(
            f"input {quoted(name)}: `{place}` holds a number that is no {datatype.name}"
        )
    return narrow


def _texts(name: str, values: Sequence[bytes]) -> Array:
    if len(values) > MAX_STRINGS:
        raise MalformedRequestError(
            f"input {quoted(name)} has `{len(values)}`, at most `{MAX_STRINGS}` strings"
        )
    try:
        texts = [value.decode() for value in values]
    except UnicodeDecodeError as error:
        raise MalformedRequestError(
            f"input {quoted(name)}: a string is not UTF-8, the encoding of the model's strings"
        ) from error
    found = np.empty(len(texts), np.object_)
    found[:] = texts
    return found


def _read_outputs(entries: Sequence[Message]) -> Mapping[str, RequestedOutput]:
    outputs: dict[str, RequestedOutput] = {}
    for entry in entries:
        name = entry.name
        if name in outputs:
            raise MalformedRequestError(f"output {quoted(name)} already exists in the request")
        parameters = read_parameters("output", name, _plain(entry.parameters))
        count = whole_number("output", name, parameters.get("classification", 0), "classification")
        outputs[name] = RequestedOutput(True, count)
    return outputs


def _plain(parameters: Mapping[str, Message]) -> dict[str, Value]:
    """The parameters by name; one that was given no value counts as not given."""
    chosen = ((name, each, each.WhichOneof("parameter_choice")) for name, each in parameters.items())
    return {name: getattr(each, choice) for name, each, choice in chosen if choice}
