"""The fields of a checkpoint: each one's presence, type and content, checked in one place."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from adaptive_act.checkpoint.state import describe_content, is_state
from adaptive_act.errors import CheckpointError

DTYPES = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
FORMAT = "adaptact/1"


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input: its name, its dtype, and its shape, with None or a name where the size is free.

    Equal names are equal sizes, of all inputs.
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and self.name):
            raise ValueError(f"an input needs a name, got `{self.name}`")
        if self.dtype not in DTYPES:
            raise ValueError(f"input `{self.name}`: expected a dtype of {DTYPES}, got `{self.dtype}`")
        if not all(map(_is_size, self.shape)):
            raise ValueError(
                f"input `{self.name}`: expected positive sizes, names or None, got {list(self.shape)}"
            )

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """The spec of a mapping with the keys name, dtype and shape; raises ValueError for anything else."""
        if not isinstance(fields, Mapping) or set(fields) != {"name", "dtype", "shape"}:
            raise ValueError(f"expected an input with the keys name, dtype and shape, got `{fields}`")
        if not isinstance(fields["shape"], list | tuple):
            raise ValueError(f"input `{fields['name']}`: expected a list as shape, got `{fields['shape']}`")
        return cls(fields["name"], fields["dtype"], tuple(fields["shape"]))


def _is_size(size: object) -> bool:
    if isinstance(size, str):
        return size.isidentifier() and size.isascii()
    return size is None or (type(size) is int and size > 0)


@dataclass(frozen=True, slots=True)
class _Field:
    """The type of a field; what its content must be, in words, and the check that raises ValueError."""

    kind: type
    content: str
    check: Callable[[Any], None]
    is_optional: bool = False


def is_checkpoint(content: object) -> bool:
    """Whether the content of a file is what `save` writes."""
    return isinstance(content, dict) and content.get("format") == FORMAT


def read_document(content: object, where: str) -> dict[str, Any]:
    """The file's content, each field of its type; an optional one that the file lacks is None.

    Raises CheckpointError where it is no checkpoint, or a field is not what `save` writes.
    """
    if not isinstance(content, dict) or "format" not in content:
        raise CheckpointError(
            f"expected a checkpoint written by `adaptive_act.save` in `{where}`, found "
            f"{describe_content(content)}; a bare state_dict needs its architecture named as well "
            "(`--factory`)"
        )
    if content["format"] != FORMAT:
        raise CheckpointError(f"`{where}` has format `{content['format']}`, this version reads `{FORMAT}`")
    document = {name: content.get(name) for name in _FIELDS}
    for name, field in _FIELDS.items():
        _require_field(document[name], field, f"`{where}`: field `{name}`")
    return document


def require_json(value: object, what: str) -> None:
    """Raises ValueError where the value is not of JSON: it holds NaN, bytes, a tensor, or broken text."""
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{what} must be JSON-able: {error}") from error


def _require_field(value: object, field: _Field, what: str) -> None:
    if value is None and field.is_optional:
        return
    if not isinstance(value, field.kind):
        expected = f"{field.kind.__name__}{' or NoneType' if field.is_optional else ''}"
        raise CheckpointError(f"{what} should be {expected}, found {type(value).__name__}")
    try:
        field.check(value)
    except ValueError as error:
        raise CheckpointError(f"{what} should {field.content}: {error}") from error


def _require_state(value: object) -> None:
    if not is_state(value):
        raise ValueError("it holds something else")


def _require_inputs(value: list[Any]) -> None:
    names = [TensorSpec.of(entry).name for entry in value]
    if len(set(names)) != len(names):
        raise ValueError(f"two have the same name, in {names}")


def _require_texts(value: list[Any]) -> None:
    if not all(isinstance(entry, str) for entry in value):
        raise ValueError("it holds something else")
    require_json(value, "it")


def _require_distinct(value: list[Any]) -> None:
    _require_texts(value)
    if len(set(value)) != len(value) or "" in value:
        raise ValueError("one is empty or there twice")


def _require_json(value: object) -> None:
    require_json(value, "it")


_FIELDS: Mapping[str, _Field] = {
    "state_dict": _Field(dict, "map names to tensors", _require_state),
    "factory": _Field(str, "be a text", _require_json),
    "factory_kwargs": _Field(dict, "be JSON", _require_json),
    "swap": _Field(list, "be JSON", _require_json),
    "inputs": _Field(list, "describe inputs", _require_inputs),
    "outputs": _Field(list, "hold names", _require_distinct, is_optional=True),
    "classes": _Field(list, "hold names", _require_texts, is_optional=True),
    "preprocessing": _Field(dict, "be JSON", _require_json, is_optional=True),
}
"""Each field of the file besides the format; an optional one may be absent."""
