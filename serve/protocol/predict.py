"""The older `:predict` messages: `{"instances": [...]}` in, `{"predictions": [...]}` out."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from serve.engine.errors import MalformedRequestError, NotExpressibleError, quote, quote_names
from serve.engine.manifest import Json
from serve.engine.signature import Array, Signature, TensorSpec
from serve.protocol.images import is_image, read_images
from serve.protocol.json_text import Value, parse_json, read_members, to_python
from serve.protocol.json_writing import to_writable, write_json, write_rows
from serve.protocol.long_values import LongList
from serve.protocol.tensors import check_finite, check_has_json, from_nested

Instances: TypeAlias = "list[Value] | LongList"


def parse_instances(body: bytes | bytearray) -> Instances:
    """The instances, at least one; raises `MalformedRequestError` for any other body."""
    message = read_members(parse_json(body)) or {}
    value = message.get("instances")
    instances = value if isinstance(value, LongList) and value.is_numeric else to_python(value)
    if not isinstance(instances, (list, LongList)) or not instances:
        raise MalformedRequestError('expected `{"instances": [...]}` with at least one instance')
    return instances


def holds_images(instances: Instances) -> bool:
    """Whether there are images, whose decoding takes long: the first instance is one, or has one."""
    first = next(iter(instances))
    return is_image(first) or (isinstance(first, dict) and any(map(is_image, first.values())))


def read_instances(
    instances: Instances, signature: Signature, manifest: Mapping[str, Json] | None = None
) -> dict[str, Array]:
    """The model's inputs, each with one row for each instance; images as the manifest says.

    An input of one column, as a table has it, also takes its values without lists around each.
    Raises `MalformedRequestError`, or `UnsupportedError` for images that the model cannot take.
    """
    names = [spec.name for spec in signature.inputs]
    if not names:
        raise MalformedRequestError(
            "the model has no inputs, and so no instances; ask it by `/v2/models/.../infer`"
        )
    first = next(iter(instances))
    columns: Mapping[str, Instances]
    if len(names) > 1 or (isinstance(first, dict) and not is_image(first)):
        columns = _read_columns(instances, names)
    else:
        columns = {name: instances for name in names}
    return {spec.name: _read_tensor(spec, columns[spec.name], manifest) for spec in signature.inputs}


def write_predictions(outputs: Mapping[str, Array], instances: int, classes: Sequence[str]) -> bytes:
    """The predictions, one for each instance; with the likeliest class of each where the classes are known.

    Raises `NotExpressibleError` for an output without a row for each instance, or with values JSON lacks.
    """
    for name, array in outputs.items():
        check_has_json(name, array)
        check_finite(name, array)
        if not array.ndim or array.shape[0] != instances:
            raise NotExpressibleError(
                f"output {quote(name)} has shape `{list(array.shape)}`, not a row for each of `{instances}` "
                "instances; ask for it by `/v2/models/.../infer`"
            )
    message: dict[str, object] = {"predictions": _arrange_rows(outputs)}
    labels = _choose_labels(list(outputs.values()), classes)
    if labels:
        message["labels"] = labels
    return write_json(message)


def _read_tensor(spec: TensorSpec, column: Instances, manifest: Mapping[str, Json] | None) -> Array:
    if isinstance(column, list) and is_image(column[0]):
        return read_images(spec, column, manifest)
    array = from_nested(spec.name, column, spec.datatype)
    is_column = len(spec.shape) == 2 and spec.shape[1] == 1
    return array.reshape(-1, 1) if is_column and array.ndim == 1 else array


def _read_columns(instances: Instances, names: list[str]) -> dict[str, list[Value]]:
    columns: dict[str, list[Value]] = {name: [] for name in names}
    for position, instance in enumerate(instances):
        if not isinstance(instance, dict) or set(instance) != set(names):
            raise MalformedRequestError(
                f"`instances[{position}]` is not an object with exactly the model's inputs: "
                f"{quote_names(names)}"
            )
        for name, value in instance.items():
            columns[name].append(value)
    return columns


def _arrange_rows(outputs: Mapping[str, Array]) -> object:
    if len(outputs) == 1:
        return to_writable(next(iter(outputs.values())))
    columns = [
        array.tolist() if array.dtype == np.object_ else np.ascontiguousarray(array)
        for array in outputs.values()
    ]
    rows = [dict(zip(outputs, row, strict=True)) for row in zip(*columns, strict=True)]
    return write_rows(rows, sum(array.size for array in outputs.values()) // len(rows))


def _choose_labels(outputs: Sequence[Array], classes: Sequence[str]) -> list[str]:
    if not classes or len(outputs) != 1 or outputs[0].shape[1:] != (len(classes),):
        return []
    return [classes[index] for index in outputs[0].argmax(axis=1)]
