"""The range of integer inputs, from the tables that they index."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from convert.model_io.forward import to_tensors
from convert.model_io.inputs import InputSpec
from convert.model_io.samples import make_example


def add_ranges(model: nn.Module, inputs: Sequence[InputSpec]) -> tuple[InputSpec, ...]:
    """The inputs, bounded by the lengths of the tables that they index in a run of the model.

    A bound of the user stays. Where the model cannot be run, the inputs stay; the export reports the error.
    """
    if not any(_may_index(spec) for spec in inputs):
        return tuple(inputs)
    arguments = to_tensors(make_example(inputs))
    recorder = _LookupRecorder()
    try:
        with torch.no_grad(), recorder:
            model(*arguments)
    except Exception:  # noqa: BLE001  # foreign code may raise anything; the export reports it
        return tuple(inputs)
    return tuple(
        replace(spec, below=recorder.lengths.get(_identify(argument)) or None) if _may_index(spec) else spec
        for spec, argument in zip(inputs, arguments, strict=True)
    )


def _identify(tensor: Tensor) -> tuple[int, int]:
    """Where its data lie and how many numbers they are: a part of an input, as a column, is not the input."""
    return tensor.data_ptr(), tensor.numel()


def _may_index(spec: InputSpec) -> bool:
    return spec.dtype in ("int64", "int32") and spec.below is None


class _LookupRecorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records the length of the shortest table that each tensor indexes, by `_identify`."""

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.lengths: dict[tuple[int, int], int] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.ops.aten.embedding.default:
            table, indices = args[:2]
            place = _identify(indices)
            self.lengths[place] = min(self.lengths.get(place, table.shape[0]), table.shape[0])
        return func(*args, **(kwargs or {}))
