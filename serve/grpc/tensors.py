"""Inference messages to and from arrays."""

from collections.abc import Mapping, Sequence

import numpy as np

from serve.engine.datatypes import Datatype
from serve.engine.errors import MalformedRequestError, quote, quote_names
from serve.engine.signature import Array
from serve.grpc.messages import Message, message_class
from serve.protocol.binary import MAX_STRINGS, datatype_name, from_binary, reshape, to_binary
from serve.protocol.json_text import Value
from serve.protocol.messages import InferRequest, RequestedOutput, read_datatype, read_shape
from serve.protocol.parameters import check_reserved, read_parameters, read_timeout_seconds, read_whole_number
from serve.protocol.replies import apply_classification

InferResponse = message_class("inference.ModelInferResponse")

# The field of `contents` with each datatype's values; datatypes that are missing here have none.
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
    # Slices, here and below: they copy at once, while iteration calls protobuf for each element.
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
            raise MalformedRequestError(f"input {quote(name)} already exists in the request")
        inputs[name] = _read_input(entry, raw[position] if raw else None)
    outputs = _read_outputs(message.outputs[:])
    if not message.parameters:
        return InferRequest(inputs, outputs, True, message.id)
    parameters = read_parameters("request", "", _read_values(message.parameters))
    check_reserved(parameters)
    return InferRequest(inputs, outputs, True, message.id, read_timeout_seconds(parameters))


def write_infer(
    model: str, version: str, request: InferRequest, outputs: Mapping[str, Array], classes: Sequence[str]
) -> Message:
    """The `ModelInferResponse`, with every tensor as its bytes.

    Raises `MalformedRequestError` for a classification of what has no scores.
    """
    if request.outputs:
        outputs = apply_classification(request, outputs, classes)
    reply = InferResponse(model_name=model, model_version=version, id=request.id)
    for name, array in outputs.items():
        reply.outputs.add(name=name, datatype=datatype_name(array), shape=array.shape)
        reply.raw_output_contents.append(to_binary(array))
    return reply


def _read_input(entry: Message, raw: bytes | None) -> Array:
    name = entry.name
    datatype, shape = read_datatype(name, entry.datatype), read_shape(name, entry.shape[:])
    if entry.parameters:
        read_parameters("input", name, _read_values(entry.parameters))
    if raw is None:
        return reshape(name, _read_contents(name, entry.contents, datatype), shape)
    # Some clients send an empty `contents` beside the bytes.
    if entry.HasField("contents") and entry.contents.ListFields():
        raise MalformedRequestError(f"input {quote(name)} has both `contents` and `raw_input_contents`")
    return from_binary(name, memoryview(raw), datatype, shape)


def _read_contents(name: str, contents: Message, datatype: Datatype) -> Array:
    """The flat values; raises `MalformedRequestError` for another datatype's, or one out of range."""
    field_name = CONTENTS.get(datatype.name)
    fields = [field.name for field, _ in contents.ListFields()]
    if field_name is None:
        raise MalformedRequestError(
            f"input {quote(name)}: {datatype.name} has no place in `contents`; "
            "send it in `raw_input_contents`"
        )
    if fields not in ([field_name], []):
        raise MalformedRequestError(
            f"input {quote(name)}: a {datatype.name} is in `{field_name}`, got {quote_names(fields)}"
        )
    values = getattr(contents, field_name)
    if datatype.name == "BYTES":
        return _read_texts(name, values)
    dtype = datatype.dtype
    wide = dtype if dtype.kind in "bf" else np.dtype(np.uint64 if dtype.kind == "u" else np.int64)
    flat = np.fromiter(values, wide, len(values))
    narrow = flat.astype(dtype)
    if dtype.kind in "iu" and not np.array_equal(narrow, flat):
        raise MalformedRequestError(
            f"input {quote(name)}: `{field_name}` holds a number that is no {datatype.name}"
        )
    return narrow


def _read_texts(name: str, values: Sequence[bytes]) -> Array:
    if len(values) > MAX_STRINGS:
        raise MalformedRequestError(
            f"input {quote(name)} has `{len(values)}`, at most `{MAX_STRINGS}` strings"
        )
    try:
        texts = [value.decode() for value in values]
    except UnicodeDecodeError as error:
        raise MalformedRequestError(
            f"input {quote(name)}: a string is not UTF-8, the encoding of the model's strings"
        ) from error
    array = np.empty(len(texts), np.object_)
    array[:] = texts
    return array


def _read_outputs(entries: Sequence[Message]) -> Mapping[str, RequestedOutput]:
    outputs: dict[str, RequestedOutput] = {}
    for entry in entries:
        name = entry.name
        if name in outputs:
            raise MalformedRequestError(f"output {quote(name)} already exists in the request")
        parameters = read_parameters("output", name, _read_values(entry.parameters))
        count = read_whole_number("output", name, parameters.get("classification", 0), "classification")
        outputs[name] = RequestedOutput(True, count)
    return outputs


def _read_values(parameters: Mapping[str, Message]) -> dict[str, Value]:
    """The parameters' values by name; parameters without a value are left out."""
    choices = ((name, value, value.WhichOneof("parameter_choice")) for name, value in parameters.items())
    return {name: getattr(value, choice) for name, value, choice in choices if choice}
