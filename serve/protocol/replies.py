"""Inference replies of the Open Inference Protocol v2: JSON, binary tensors, classifications."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from serve.engine.datatypes import BFLOAT16
from serve.engine.errors import MalformedRequestError, quote
from serve.engine.signature import Array
from serve.protocol.binary import BINARY_SIZE, datatype_name, to_binary_pieces
from serve.protocol.json_writing import PIECE_VALUES, write_json
from serve.protocol.messages import InferRequest
from serve.protocol.placements import PlacedOutput
from serve.protocol.tensors import check_finite, to_json

Indices: TypeAlias = NDArray[np.intp]
# Copying so many bytes takes no longer than writing a number in JSON.
BYTES_PER_VALUE = 64
NOT_PLACED: Mapping[str, PlacedOutput] = {}
NO_PARAMETERS: Mapping[str, str] = {}
MAX_ENTRIES = 2**18  # each text takes some hundred bytes while the reply is made


def classify(name: str, scores: Array, count: int, classes: Sequence[str] = ()) -> Array:
    """The `count` highest scores of each row as `value:index` or `value:index:class`, highest first.

    Shape `[batch, count]`, or `[count]` for an output of one dimension; fewer than `count` if a row has
    fewer. Equal scores keep their order, and NaN comes last. Raises `MalformedRequestError` for an output
    that is not numeric, and for more texts than a reply may hold.
    """
    height, width = (scores.shape[0], prod(scores.shape[1:])) if scores.ndim > 1 else (1, scores.size)
    rows = _read_scores(name, scores).reshape(height, width)
    count = min(count, width)
    if height * count > MAX_ENTRIES:
        raise MalformedRequestError(
            f"output {quote(name)}: `classification` of `{height}` rows would give "
            f"`{height * count}` texts, at most `{MAX_ENTRIES}`; ask for fewer, or for the output itself"
        )
    # Sorted from the back, since negated integers could overflow; there the last of equal scores comes first,
    # which here is the first.
    order: Indices = width - 1 - np.argsort(rows[:, ::-1], axis=1, kind="stable")[:, ::-1]
    if rows.dtype.kind == "f":
        order = _put_nan_last(rows, order)
    names = classes if len(classes) == width else ()
    entries = [
        [_write_entry(row[index], int(index), names) for index in best]
        for row, best in zip(rows, order[:, :count], strict=True)
    ]
    texts = np.empty(height * count, np.object_)
    texts[:] = [entry for row in entries for entry in row]
    return texts.reshape((height, count) if scores.ndim > 1 else (count,))


def _read_scores(name: str, scores: Array) -> Array:
    if scores.dtype == BFLOAT16:
        # The upper half of a float32.
        return (np.ascontiguousarray(scores).view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    if scores.dtype.kind not in "iuf":
        raise MalformedRequestError(
            f"output {quote(name)}: `classification` needs an output of numbers, "
            f"this one is `{datatype_name(scores)}`"
        )
    return scores


def _put_nan_last(rows: Array, order: Indices) -> Indices:
    """The same order, but with NaN last, which numpy sorts as the highest number."""
    nan = np.isnan(np.take_along_axis(rows, order, axis=1))
    return np.take_along_axis(order, np.argsort(nan, axis=1, kind="stable"), axis=1)


def _write_entry(value: np.generic, index: int, names: Sequence[str]) -> str:
    text = f"{value!s}:{index}"
    return f"{text}:{names[index]}" if names else text


class Answerer(NamedTuple):
    """Who answered, and what else the reply says of it."""

    model: str
    version: str
    classes: Sequence[str] = ()
    parameters: Mapping[str, str] = NO_PARAMETERS


class InferReply(NamedTuple):
    """A reply's body, and how many of its bytes are JSON where binary tensors follow; else None."""

    body: bytes
    json_bytes: int | None


def takes_long_to_write(request: InferRequest, outputs: Mapping[str, Array]) -> bool:
    """Whether writing the reply takes a millisecond or more, and so is to be done in a thread."""
    values = 0
    for name, array in outputs.items():
        requested = request.outputs.get(name)
        is_copied = array.dtype != np.object_ and request.wants_binary(name)
        if is_copied and (requested is None or not requested.classification):
            values += array.nbytes // BYTES_PER_VALUE
        else:
            values += array.size
    return values > PIECE_VALUES


def write_reply(
    by: Answerer,
    request: InferRequest,
    outputs: Mapping[str, Array],
    placed: Mapping[str, PlacedOutput] = NOT_PLACED,
) -> InferReply:
    """The reply to the request; raises `NotExpressibleError` for values that JSON cannot hold.

    Of the outputs that are `placed` in shared memory it says only where. Raises `MalformedRequestError` for a
    classification of an output without scores.
    """
    if request.outputs:
        outputs = apply_classification(request, outputs, by.classes)
    described: list[dict[str, object]] = []
    message = _begin_reply(by, request, described)
    tensors: list[bytes] = []
    for name, array in outputs.items():
        entry: dict[str, object] = {"name": name, "datatype": datatype_name(array), "shape": array.shape}
        if request.wants_binary(name):
            pieces = to_binary_pieces(array)
            tensors += pieces
            entry["parameters"] = {BINARY_SIZE: sum(map(len, pieces))}
        else:
            entry["data"] = to_json(name, array)
        described.append(entry)
    for name, output in placed.items():
        entry = {"name": name, "datatype": output.datatype, "shape": output.shape}
        described.append({**entry, "parameters": output.placement.write_parameters()})
    text = write_json(message)
    # orjson writes null for NaN and infinities: searching for it is faster than checking every number.
    if b"null" in text:
        _check_finite(request, outputs)
    if not tensors:
        return InferReply(text, None)
    return InferReply(b"".join((text, *tensors)), len(text))


def _begin_reply(by: Answerer, request: InferRequest, outputs: list[dict[str, object]]) -> dict[str, object]:
    message: dict[str, object] = {"model_name": by.model, "model_version": by.version, "outputs": outputs}
    if request.id is not None:
        message["id"] = request.id
    if by.parameters:
        message["parameters"] = by.parameters
    return message


def _check_finite(request: InferRequest, outputs: Mapping[str, Array]) -> None:
    for name, array in outputs.items():
        if not request.wants_binary(name):
            check_finite(name, array)


def apply_classification(
    request: InferRequest, outputs: Mapping[str, Array], classes: Sequence[str]
) -> Mapping[str, Array]:
    """The outputs, with the highest scores in place of those with a classification."""
    counts = {
        name: output.classification for name, output in request.outputs.items() if output.classification
    }
    if not counts:
        return outputs
    return {
        name: classify(name, array, counts[name], classes) if name in counts else array
        for name, array in outputs.items()
    }
