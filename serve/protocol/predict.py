"""The older `:predict` messages: `{"instances": [...]}` in, `{"predictions": [...]}` out."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from adaptact.languages.catalogue import mark
from serve.engine.errors import MalformedRequestError, NotExpressibleError, quote
from serve.engine.signature import Array, Signature, TensorSpec
from serve.protocol.columns import read_column, read_matrix, split_columns
from serve.protocol.images import is_image, read_images
from serve.protocol.json_text import Value, parse_json, read_members, to_python
from serve.protocol.json_writing import to_writable, write_json, write_rows
from serve.protocol.long_values import LongList
from serve.protocol.tensors import check_finite, check_has_json
from serve.protocol.texts import is_text, resembles_text

if TYPE_CHECKING:
    from serve.engine.description import ModelDescription

TOKENS = "input_ids"
UNNAMED = "; " + mark(
    "the columns of the input have no names: `columns` in the `config.toml` in its folder gives them"
)

Instances: TypeAlias = "list[Value] | LongList"


def parse_instances(body: bytes | bytearray) -> Instances:
    """The instances, at least one; raises `MalformedRequestError` for any other body."""
    message = read_members(parse_json(body)) or {}
    value = message.get("instances")
    instances = value if isinstance(value, LongList) and value.is_numeric else to_python(value)
    if not isinstance(instances, (list, LongList)) or not instances:
        raise MalformedRequestError('expected `{"instances": [...]}` with at least one instance')
    return instances


def holds_numbers(instances: Instances) -> bool:
    """Whether there are neither images nor texts, nor objects."""
    return not isinstance(next(iter(instances)), (dict, str))


def holds_images(instances: Instances) -> bool:
    """Whether there are images, whose decoding takes long: the first instance is one, or has one."""
    first = next(iter(instances))
    return is_image(first) or (isinstance(first, dict) and any(map(is_image, first.values())))


def holds_texts(instances: Instances, signature: Signature) -> bool:
    """Whether there are texts to make tokens of: the first instance is one, and is no input as it is."""
    first = next(iter(instances))
    takes_strings = any(spec.datatype.name == "BYTES" for spec in signature.inputs)
    names = {spec.name for spec in signature.inputs}
    if not is_text(first) and not (TOKENS in names and resembles_text(first, names)):
        return False
    return not takes_strings and not (isinstance(first, dict) and first.keys() <= names)


def read_instances(
    instances: Instances, signature: Signature, description: "ModelDescription | None" = None
) -> dict[str, Array]:
    """The model's inputs, each with one row for each instance; images and columns as the description says.

    An input of one column, as a table has it, also takes its values without lists around each.
    Raises `MalformedRequestError`, or `UnsupportedError` for images that the model cannot take.
    """
    names = [spec.name for spec in signature.inputs]
    if not names:
        raise MalformedRequestError(
            "the model has no inputs, and so no instances; ask it by `/v2/models/.../infer`"
        )
    first = next(iter(instances))
    is_row = isinstance(first, dict) and not is_image(first)
    columns = description.columns if description is not None else ()
    if is_row and columns and list(first) != names:  # type: ignore[call-overload]  # a row is a dict
        return {names[0]: read_matrix(signature.inputs[0], instances, columns)}
    values: Mapping[str, Instances]
    if len(names) > 1 or is_row:
        is_unnamed = len(names) == 1 and len(signature.inputs[0].shape) == 2
        values = split_columns(instances, names, UNNAMED if is_unnamed else "")
    else:
        values = {name: instances for name in names}
    return {
        spec.name: _read_tensor(spec, values[spec.name], description, is_row=is_row)
        for spec in signature.inputs
    }


def write_predictions(
    outputs: Mapping[str, Array], instances: int, classes: Sequence[str], truncated: Sequence[int] = ()
) -> bytes:
    """The predictions, one for each instance; with the likeliest class of each where the classes are known.

    `truncated` are the places of the texts that were cut.

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
    labels = choose_labels(list(outputs.values()), classes)
    if labels:
        message["labels"] = labels
    if truncated:
        message["truncated"] = list(truncated)
    return write_json(message)


def _read_tensor(
    spec: TensorSpec, values: Instances, description: "ModelDescription | None", *, is_row: bool
) -> Array:
    if isinstance(values, list) and is_image(values[0]):
        return read_images(spec, values, description)
    return read_column(spec, values, is_row=is_row)


def _arrange_rows(outputs: Mapping[str, Array]) -> object:
    if len(outputs) == 1:
        return to_writable(next(iter(outputs.values())))
    columns = [
        array.tolist() if array.dtype == np.object_ else np.ascontiguousarray(array)
        for array in outputs.values()
    ]
    rows = [dict(zip(outputs, row, strict=True)) for row in zip(*columns, strict=True)]
    return write_rows(rows, sum(array.size for array in outputs.values()) // len(rows))


def choose_labels(outputs: Sequence[Array], classes: Sequence[str]) -> list[str]:
    """The likeliest class of each instance; none unless one output has a value for each known class."""
    if not classes or len(outputs) != 1 or outputs[0].shape[1:] != (len(classes),):
        return []
    return [classes[index] for index in outputs[0].argmax(axis=1)]
