"""Inference replies of the Open Inference Protocol v2: JSON, and binary tensors behind it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import orjson

from serve.engine.signature import Array
from serve.protocol.binary import datatype_name, to_binary
from serve.protocol.classification import classify
from serve.protocol.messages import BINARY_SIZE, InferRequest
from serve.protocol.tensors import check_finite, to_json


class InferReply(NamedTuple):
    """The body of a reply, and how many of its bytes are JSON if binary tensors follow them."""

    body: bytes
    json_bytes: int | None


def write_reply(
    model: str,
    version: str,
    request: InferRequest,
    outputs: Mapping[str, Array],
    classes: Sequence[str] = (),
) -> InferReply:
    """The answer to the request; raises `NotExpressibleError` for values that JSON cannot carry.

    Raises `MalformedRequestError` for a classification of what has no scores.
    """
    if request.outputs:
        outputs = classified(request, outputs, classes)
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
        _check_finite(request, outputs)
    if not tensors:
        return InferReply(text, None)
    return InferReply(b"".join((text, *tensors)), len(text))


def _check_finite(request: InferRequest, outputs: Mapping[str, Array]) -> None:
    for name, array in outputs.items():
        if not request.wants_binary(name):
            check_finite(name, array)


def classified(
    request: InferRequest, outputs: Mapping[str, Array], classes: Sequence[str]
) -> Mapping[str, Array]:
    """The outputs, with the highest scores in place of those that they were asked of."""
    wanted = {name: each.classification for name, each in request.outputs.items() if each.classification}
    if not wanted:
        return outputs
    return {
        name: classify(name, array, wanted[name], classes) if name in wanted else array
        for name, array in outputs.items()
    }
