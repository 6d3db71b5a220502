"""A model's outputs as named tensors, whatever container holds them."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from convert.errors import ExportError, UsageError

DEEPEST = 8
# The types that ONNX Runtime and NumPy share; torch has more.
_TYPES = (
    *(torch.float32, torch.float64, torch.float16, torch.bool),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8),
)
_HINTS = {
    torch.bfloat16: "end the forward with `.float()`",
    torch.complex64: "return `torch.view_as_real(y)`: real and imaginary parts along a last axis",
    torch.complex128: "return `torch.view_as_real(y)`: real and imaginary parts along a last axis",
}
SINGLE_OUTPUT = "output"


def name_outputs(result: object, names: Sequence[str] | None) -> dict[str, Tensor]:
    """The tensors that a model returned, by name, in order; None is left out.

    `names` are the checkpoint's. Without them the one tensor is `output`, those of a tuple `output_0`,
    `output_1` ..., and those of a dictionary, dataclass or named tuple have its names; a nested tensor joins
    both, as `hidden_0`. Raises ExportError for anything but dense tensors of types that ONNX Runtime has too,
    and UsageError for a wrong count of names.
    """
    tensors = list(_walk_tensors("", result, 0))
    if not tensors:
        raise ExportError(f"the model returns no tensor, only a `{type(result).__name__}`")
    chosen = list(names) if names is not None else [name for name, _ in tensors]
    if len(chosen) != len(tensors):
        raise UsageError(f"the model returns {len(tensors)} outputs, expected {len(chosen)}: {chosen}")
    if len(set(chosen)) != len(chosen):
        raise UsageError(f"the outputs' names are not distinct: {chosen}")
    named = dict(zip(chosen, (tensor for _, tensor in tensors), strict=True))
    for name, tensor in named.items():
        _require_plain(name, tensor)
    return named


def _require_plain(name: str, tensor: Tensor) -> None:
    kind = str(tensor.dtype).removeprefix("torch.")
    if tensor.layout is not torch.strided:
        raise ExportError(
            f"output `{name}` is a sparse tensor, expected a dense one",
            hint="end the forward with `.to_dense()`",
        )
    if tensor.dtype not in _TYPES:
        expected = ", ".join(str(dtype).removeprefix("torch.") for dtype in _TYPES)
        raise ExportError(
            f"output `{name}` is {kind}, expected one of: {expected}",
            hint=_HINTS.get(tensor.dtype, "convert it at the end of the forward"),
        )


def _walk_tensors(name: str, value: object, depth: int) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield name or SINGLE_OUTPUT, value
    elif value is not None:
        members = _list_members(name, value) if depth < DEEPEST else None
        if members is None:
            where = f"at `{name}`" if name else "as its result"
            raise ExportError(
                f"the model returns a `{type(value).__name__}` {where}, expected tensors, or a tuple, dict "
                "or dataclass of them",
                hint="wrap it in a module whose forward returns the tensors alone",
            )
        for inner, member in members:
            yield from _walk_tensors(inner, member, depth + 1)


def _list_members(name: str, value: object) -> list[tuple[str, object]] | None:
    """The members of a container by name; None where the value is no container."""
    if isinstance(value, Mapping):
        return [(f"{name}_{key}" if name else str(key), member) for key, member in value.items()]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return _list_members(name, dict(zip(value._fields, value, strict=True)))
    if isinstance(value, tuple | list):
        return [(f"{name or SINGLE_OUTPUT}_{index}", member) for index, member in enumerate(value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _list_members(
            name, {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        )
    return None
