"""What comes out of a model: tensors, in whatever they are wrapped, always read as named tensors."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from convert.errors import ExportError, UsageError

DEEPEST = 8
# What both ONNX Runtime and NumPy have; torch has more.
_TYPES = (
    *(torch.float32, torch.float64, torch.float16, torch.bool),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8),
)
_TODO = {
    torch.bfloat16: "end the forward with `.float()`",
    torch.complex64: "return `torch.view_as_real(y)`: real and imaginary parts along a last axis",
    torch.complex128: "return `torch.view_as_real(y)`: real and imaginary parts along a last axis",
}
ALONE = "output"


def named_outputs(result: object, names: Sequence[str] | None) -> dict[str, Tensor]:
    """The tensors that a model returned, by name, in order; what is None is left out.

    `names` are the checkpoint's. Without them the one tensor is `output`, those of a tuple `output_0`,
    `output_1` ..., and those of a dictionary, dataclass or named tuple have its names; what is wrapped twice
    has both, as `hidden_0`. Raises ExportError where something else came back than dense tensors of types
    that ONNX Runtime has too, and UsageError for a wrong count of names.
    """
    found = list(_tensors("", result, 0))
    if not found:
        raise ExportError(f"the model returns no tensor, only a `{type(result).__name__}`")
    given = list(names) if names is not None else [name for name, _ in found]
    if len(given) != len(found):
        raise UsageError(f"the model returns {len(found)} outputs, expected {len(given)}: {given}")
    if len(set(given)) != len(given):
        raise UsageError(f"the outputs' names are not distinct: {given}")
    named = dict(zip(given, (tensor for _, tensor in found), strict=True))
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
        expected = ", ".join(str(one).removeprefix("torch.") for one in _TYPES)
        raise ExportError(
            f"output `{name}` is {kind}, expected one of: {expected}",
            hint=_TODO.get(tensor.dtype, "convert it at the end of the forward"),
        )


def _tensors(name: str, value: object, depth: int) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield name or ALONE, value
    elif value is not None:
        members = _members(name, value) if depth < DEEPEST else None
        if members is None:
            where = f"at `{name}`" if name else "as its result"
            raise ExportError(
                f"the model returns a `{type(value).__name__}` {where}, expected tensors, or a tuple, dict "
                "or dataclass of them",
                hint="wrap it in a module whose forward returns the tensors alone",
            )
        for inner, member in members:
            yield from _tensors(inner, member, depth + 1)


def _members(name: str, value: object) -> list[tuple[str, object]] | None:
    """What a container holds, each under its own name; None where it is no container."""
    if isinstance(value, Mapping):
        return [(f"{name}_{key}" if name else str(key), member) for key, member in value.items()]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return _members(name, dict(zip(value._fields, value, strict=True)))
    if isinstance(value, tuple | list):
        return [(f"{name or ALONE}_{index}", member) for index, member in enumerate(value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _members(name, {one.name: getattr(value, one.name) for one in dataclasses.fields(value)})
    return None
