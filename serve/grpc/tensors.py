"""Inference messages to and from arrays."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from serve.engine.datatypes import Datatype
from serve.engine.errors import MalformedRequestError, quote, quote_names
from serve.engine.signature import Array
from serve.grpc.framing import Buffer
from serve.grpc.infer_messages import InferAnswer, InferMessage, InferResponse
from serve.grpc.messages import Message
from serve.protocol.binary import MAX_STRINGS, datatype_name, from_binary, reshape, view_binary
from serve.protocol.json_text import Value
from serve.protocol.messages import (
    InferRequest,
    RequestedOutput,
    make_requested_output,
    read_datatype,
    read_shape,
    split_placed,
)
from serve.protocol.parameters import NONE, UNIT, check_reserved, read_parameters, read_timeout_seconds
from serve.protocol.placements import REGION, PlacedInput, PlacedOutput, read_placement
from serve.protocol.replies import NOT_PLACED, Answerer, apply_classification

# So many numbers are read at a time, between which other threads have their turn.
PIECE_VALUES = 2**14
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


def read_infer(given: InferMessage) -> InferRequest:
    """The request in the message; may raise `MalformedRequestError` or `UnsupportedError`."""
    message, raw, _ = given
    # Slices, here and below: they copy at once, while iteration calls protobuf for each element.
    entries = message.inputs[:]
    expected = sum(REGION not in entry.parameters for entry in entries)
    if raw and len(raw) != expected:
        raise MalformedRequestError(
            f"`raw_input_contents` holds `{len(raw)}` tensors for `{expected}` inputs; "
            "expected one for each, in the same order, or none"
        )
    tensors: dict[str, Array | PlacedInput] = {}
    taken = iter(raw)
    for entry in entries:
        name = entry.name
        if name in tensors:
            raise MalformedRequestError(f"input {quote(name)} already exists in the request")
        tensors[name] = _read_input(entry, taken)
    inputs, placed = split_placed(tensors)
    outputs = _read_outputs(message.outputs[:])
    parameters = NONE
    if message.parameters:
        parameters = read_parameters("request", "", _read_values(message.parameters))
        check_reserved(parameters)
    options = outputs, True, message.id, read_timeout_seconds(parameters)
    return InferRequest(inputs, *options, placed, parameters.get(UNIT))


def takes_long_to_write(outputs: Mapping[str, Array]) -> bool:
    """Whether that is to be done in a thread: texts are written one by one."""
    return any(array.dtype == np.object_ and array.size > PIECE_VALUES for array in outputs.values())


def write_infer(
    by: Answerer,
    request: InferRequest,
    outputs: Mapping[str, Array],
    placed: Mapping[str, PlacedOutput] = NOT_PLACED,
) -> InferAnswer:
    """The `ModelInferResponse`, with every tensor as its bytes, empty for one `placed` in shared memory.

    Raises `MalformedRequestError` for a classification of what has no scores.
    """
    if request.outputs:
        outputs = apply_classification(request, outputs, by.classes)
    reply = InferResponse(model_name=by.model, model_version=by.version, id=request.id)
    for name, text in by.parameters.items():
        reply.parameters[name].string_param = text
    raw: list[Buffer] = []
    for name, array in outputs.items():
        reply.outputs.add(name=name, datatype=datatype_name(array), shape=array.shape)
        raw.append(view_binary(array))
    for name, output in placed.items():
        entry = reply.outputs.add(name=name, datatype=output.datatype, shape=output.shape)
        for parameter, value in output.placement.write_parameters().items():
            field = "string_param" if isinstance(value, str) else "int64_param"
            setattr(entry.parameters[parameter], field, value)
        raw.append(b"")  # clients find the others by their position
    return InferAnswer(reply, raw)


def _read_input(entry: Message, raws: Iterator[Buffer]) -> Array | PlacedInput:
    name = entry.name
    datatype, shape = read_datatype(name, entry.datatype), read_shape(name, entry.shape[:])
    if entry.parameters:
        parameters = read_parameters("input", name, _read_values(entry.parameters))
        placement = read_placement("input", name, parameters)
        if placement is not None:
            return PlacedInput(placement, datatype, shape)
    raw = next(raws, None)
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
    flat = _read_numbers(values, wide)
    narrow = flat.astype(dtype)
    if dtype.kind in "iu" and not np.array_equal(narrow, flat):
        raise MalformedRequestError(
            f"input {quote(name)}: `{field_name}` holds a number that is no {datatype.name}"
        )
    return narrow


def _read_numbers(values: Sequence[float], dtype: np.dtype[Any]) -> Array:
    flat = np.empty(len(values), dtype)
    for start in range(0, len(values), PIECE_VALUES):
        flat[start : start + PIECE_VALUES] = values[start : start + PIECE_VALUES]
    return flat


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
        outputs[name] = make_requested_output(name, True, parameters)
    return outputs


def _read_values(parameters: Mapping[str, Message]) -> dict[str, Value]:
    """The parameters' values by name; parameters without a value are left out."""
    choices = ((name, value, value.WhichOneof("parameter_choice")) for name, value in parameters.items())
    return {name: getattr(value, choice) for name, value, choice in choices if choice}
