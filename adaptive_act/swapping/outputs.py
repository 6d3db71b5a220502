"""A model's outputs on an example, and the largest difference between two models' outputs."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from adaptive_act.swapping.copying import copy_model

Example = Tensor | tuple[Any, ...]
"""The arguments of one call of a model: a tensor, or a tuple."""


def largest_change(before: nn.Module, after: nn.Module, example: Example) -> float:
    """The largest difference between the two models' outputs, relative to the largest output of the first."""
    changes = [0.0]
    for old, new in zip(run_model(before, example), run_model(after, example), strict=True):
        scale = old.abs().nan_to_num(0, 0, 0).max().item() or 1.0
        same = (old == new) | (old.isnan() & new.isnan())
        changes.append(((old - new).abs().masked_fill(same, 0).max() / scale).item())
    return max(changes)


def change_in_float64(before: nn.Module, after: nn.Module, example: Example) -> float | None:
    """The same change with both models in float64, without float32's rounding; None where they cannot run."""
    try:
        twins = copy_model(before).double(), copy_model(after).double()
        return largest_change(*twins, _to_float64(example))
    except (RuntimeError, TypeError, ValueError, NotImplementedError):
        return None


def _to_float64(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.double() if value.is_floating_point() else value
    return tuple(map(_to_float64, value)) if isinstance(value, tuple) else value


def run_model(model: nn.Module, example: Example) -> list[Tensor]:
    """The model's floating-point outputs on the example in evaluation mode; its mode is put back."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            result = model(*example) if isinstance(example, tuple) else model(example)
    finally:
        for module, mode in modes.items():
            module.training = mode
    return [tensor.double() for tensor in _flatten_tensors(result) if tensor.numel()]


def _flatten_tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value.detach()
    elif isinstance(value, Mapping):
        yield from _flatten_tensors(tuple(value.values()))
    elif isinstance(value, Iterable) and not isinstance(value, str):
        for item in value:
            yield from _flatten_tensors(item)
