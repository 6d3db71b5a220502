"""Activations inside the modules of torch and other libraries, and which of them can be replaced."""

import functools
import warnings
from collections.abc import Iterable, Mapping
from types import BuiltinFunctionType, FunctionType

import torch
import torch.nn.functional as F
from torch import nn

from adaptive_act.plain import FUNCTIONS, PLAIN, Plain


def kernel_activations(module: nn.Module) -> tuple[type[nn.Module], ...]:
    """The activations inside the module's own kernel, which cannot be replaced."""
    if isinstance(module, nn.LSTM | nn.LSTMCell | nn.GRU | nn.GRUCell):
        return nn.Sigmoid, nn.Tanh
    if isinstance(module, nn.RNN | nn.RNNCell):
        return (nn.ReLU if module.nonlinearity == "relu" else nn.Tanh,)
    return (nn.Sigmoid,) if isinstance(module, nn.GLU) else ()


def script_activations(
    module: torch.jit.ScriptModule, kinds: Iterable[type[nn.Module]]
) -> list[type[nn.Module]]:
    """The activations among `kinds` in a TorchScript module's code, which cannot be changed."""
    code = str(module.inlined_graph)
    plains = [PLAIN[kind.__name__] for kind in kinds if kind.__name__ in PLAIN]
    return [p.module for p in plains if any(f"aten::{name}(" in code for name in _operator_names(p))]


def _operator_names(plain: Plain) -> set[str]:
    names = {getattr(function, "__name__", "").rstrip("_") for function in plain.functions} - {""}
    return {spelled for name in names for spelled in (name, f"{name}_")}


def update_encoder_layers(model: nn.Module, layers: Iterable[nn.Module]) -> None:
    """Makes the transformer encoder layers among `layers` run the activation module that they hold now.

    In evaluation, torch runs such a layer as one kernel with ReLU or GELU inside, which a mark on the layer
    sets when it is built. With the old mark, the kernel would ignore the new activation.
    """
    touched = [layer for layer in layers if isinstance(layer, nn.TransformerEncoderLayer)]
    for layer in touched:
        layer.activation_relu_or_gelu = _kernel_mark(layer.activation)
    for encoder in model.modules():
        if isinstance(encoder, nn.TransformerEncoder) and any(layer in touched for layer in encoder.layers):
            encoder.use_nested_tensor = _allows_nesting(encoder)


def _kernel_mark(activation: object) -> int:
    if activation is F.relu or isinstance(activation, nn.ReLU):
        return 1
    exact = isinstance(activation, nn.GELU) and activation.approximate == "none"
    return 2 if activation is F.gelu or exact else 0


def _allows_nesting(encoder: nn.TransformerEncoder) -> bool:
    """Whether torch, when it builds an encoder of these layers, allows nested tensors."""
    if not all(layer.activation_relu_or_gelu for layer in encoder.layers):  # they need the kernel
        return False
    with warnings.catch_warnings(action="ignore"):
        empty = nn.TransformerEncoder(encoder.layers[0], 0, enable_nested_tensor=encoder.enable_nested_tensor)
    return bool(empty.use_nested_tensor)


def find_held_functions(owner: nn.Module) -> dict[str, nn.Module]:
    """The plain activation of each function in an attribute of `owner`, by the attribute's name."""
    held = {name: value for name, value in vars(owner).items() if name != "forward"}  # a call of the module
    plains = {name: _recognise_function(value) for name, value in held.items()}
    return {name: plain for name, plain in plains.items() if plain is not None}


def replace_held_function(owner: nn.Module, name: str, module: nn.Module) -> None:
    """Replaces the function in the attribute `name` of `owner` by `module`."""
    del owner.__dict__[name]
    owner.add_module(name, module)


def _recognise_function(value: object) -> nn.Module | None:
    arguments: Mapping[str, object] = {}
    function = value
    if isinstance(value, functools.partial) and not value.args:
        function, arguments = value.func, value.keywords
    plain = FUNCTIONS.get(function) if isinstance(function, FunctionType | BuiltinFunctionType) else None
    if plain is None or not set(arguments) <= {*plain.arguments, "inplace"}:
        return None
    return plain.module(**{name: arguments[name] for name in plain.arguments if name in arguments})
