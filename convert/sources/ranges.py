"""How large the whole numbers of an input may be, read off the tables that they index."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from convert.model_io.forward import tensors
from convert.model_io.inputs import InputSpec
from convert.model_io.samples import example


def with_ranges(model: nn.Module, inputs: Sequence[InputSpec]) -> tuple[InputSpec, ...]:
    """The inputs, with the length of the table that each indexes where a run of the model shows it.

    A bound that the user gave stays. Where the model cannot be run, nothing is learned: the export says why.
    """
    if not any(_may_index(spec) for spec in inputs):
        return tuple(inputs)
    arguments = tensors(example(inputs))
    watch = _Lookups()
    try:
        with torch.no_grad(), watch:
            model(*arguments)
    except Exception:  # noqa: BLE001  # a stranger's code may raise anything; the export says what
        return tuple(inputs)
    return tuple(
        replace(spec, below=watch.lengths.get(argument.data_ptr()) or None) if _may_index(spec) else spec
        for spec, argument in zip(inputs, arguments, strict=True)
    )


def _may_index(spec: InputSpec) -> bool:
    return spec.dtype in ("int64", "int32") and spec.below is None


class _Lookups(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the shortest table that each tensor, by the address of its numbers, looks things up in."""

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.lengths: dict[int, int] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.ops.aten.embedding.default:
            table, indices = args[:2]
            known = self.lengths.get(indices.data_ptr(), table.shape[0])
            self.lengths[indices.data_ptr()] = min(known, table.shape[0])
        return func(*args, **(kwargs or {}))
