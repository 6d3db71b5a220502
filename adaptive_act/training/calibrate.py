"""Calibration: sets what depends on the range of the data before training starts."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from adaptive_act.activation import Activation, named_activations
from adaptive_act.training.hooks import ActivationHooks

Batch = Tensor | tuple[Any, ...] | Mapping[str, Any]
"""The arguments of one call of the model: a tensor, a tuple, or a mapping by name."""


def calibrate(model: nn.Module, batches: Iterable[Batch]) -> tuple[str, ...]:
    """Calibrates each activation on what reached it while `model` ran on `batches`; gives their layers.

    The model runs in evaluation mode without gradients; its mode is put back. Only activations that have
    something to calibrate are read, and all their inputs are kept in memory: a few batches are enough.
    Raises ValueError where there are no batches, and where the inputs of a layer are none, not finite, or
    differ in more than their first dimension.
    """
    activations = {
        layer: activation
        for layer, activation in named_activations(model).items()
        if _is_calibratable(activation)
    }
    inputs: dict[str, list[Tensor]] = {layer: [] for layer in activations}

    def keep(layer: str, x: Tensor, _: Tensor) -> None:
        if layer in inputs:
            inputs[layer].append(x)

    hooks = ActivationHooks(model, keep)
    try:
        ran = _run_batches(model, batches)
    finally:
        hooks.close()
    if not ran:
        raise ValueError("`calibrate` expects at least one batch, got none")
    reached = {layer: _join_inputs(layer, parts) for layer, parts in inputs.items() if parts}
    with torch.no_grad():
        for layer, x in reached.items():
            try:
                activations[layer].calibrate(x)
            except ValueError as error:
                raise ValueError(f"layer `{layer}`: {error}") from error
    return tuple(reached)


def _is_calibratable(activation: Activation) -> bool:
    return type(activation).calibrate is not Activation.calibrate


def _run_batches(model: nn.Module, batches: Iterable[Batch]) -> int:
    """The number of batches that were run."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    count = 0
    try:
        with torch.no_grad():
            for count, batch in enumerate(batches, 1):  # noqa: B007  # the count is the answer
                _call_model(model, batch)
    finally:
        for module, mode in modes.items():
            module.training = mode
    return count


def _call_model(model: nn.Module, batch: Batch) -> None:
    if isinstance(batch, Tensor):
        model(batch)
    elif isinstance(batch, tuple):
        model(*batch)
    elif isinstance(batch, Mapping):
        model(**batch)
    else:
        raise TypeError(
            f"expected a batch that is a tensor, a tuple of arguments or a mapping of named ones, got "
            f"`{type(batch).__name__}`; leave out the labels: `(x for x, _ in loader)`"
        )


def _join_inputs(layer: str, parts: list[Tensor]) -> Tensor:
    shapes = {tuple(part.shape[1:]) for part in parts}
    if len(shapes) > 1:
        raise ValueError(
            f"layer `{layer}` met inputs of shapes {sorted(shapes)} after the first dimension, expected one; "
            f"give batches that differ in their first dimension only"
        )
    return torch.cat(parts)
