"""Forward hooks on the activations of a model."""

import weakref
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn

from adaptive_act.activation import named_activations

OnCall = Callable[[str, Tensor, Tensor], None]
"""Called with a layer's name, its input and its output."""


class ForwardHook:
    """A forward hook that calls a bound method with a module's inputs and output, while its object lives.

    In a copy or a pickle of the model the hook does nothing: an observer of the model does not observe its
    copies.
    """

    def __init__(self, layer: str = "", reader: Callable[[str, Any, Any], None] | None = None) -> None:
        self._layer = layer
        self._reader = None if reader is None else weakref.WeakMethod(reader)

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        """Calls the method."""
        # Inside a compiled graph a reader would break the graph at every module.
        reader = None if self._reader is None or torch.compiler.is_compiling() else self._reader()
        if reader is not None:
            reader(self._layer, inputs, output)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return type(self)()

    def __reduce__(self) -> tuple[type[Self], tuple[()]]:
        return type(self), ()


class ActivationHooks:
    """A hook on each activation of `model`; a shared activation is called by its first name."""

    def __init__(self, model: nn.Module, reader: OnCall) -> None:
        self._reader = reader
        first: dict[nn.Module, str] = {}
        for layer, activation in named_activations(model).items():
            first.setdefault(activation, layer)
        self.layers = tuple(first.values())
        self._handles = [
            activation.register_forward_hook(ForwardHook(layer, self._show))
            for activation, layer in first.items()
        ]

    def close(self) -> None:
        """Removes the hooks from the model."""
        for handle in self._handles:
            handle.remove()

    def _show(self, layer: str, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self._reader(layer, inputs[0].detach(), output.detach())
