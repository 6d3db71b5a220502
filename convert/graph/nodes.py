"""Questions about an ONNX graph, in which the rules are written."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from convert.model_io.array import Array

SCOPES = "pkg.torch.onnx.name_scopes"


def get_constant(value: ir.Value | None) -> Array | None:
    """The numbers of an initialiser that no caller can override at run time, else None."""
    if value is None or value.const_value is None or value.producer() is not None or value.is_graph_input():
        return None
    return value.const_value.numpy()


def get_scalar(value: ir.Value | None, beside: ir.Value | None = None) -> float | None:
    """The number of a constant of one element that leaves `beside` its shape, else None."""
    array = get_constant(value)
    if array is None or array.size != 1 or (beside is not None and not keeps_shape(array, beside)):
        return None
    return float(array.reshape(()))


def get_rank(value: ir.Value) -> int | None:
    """The number of axes, None where the graph does not state it."""
    return None if value.shape is None else len(value.shape)


def keeps_shape(array: Array, value: ir.Value) -> bool:
    """True where an operator on the constant and the value certainly returns the value's shape."""
    if not array.ndim:
        return True
    if value.shape is None or array.ndim > len(value.shape):
        return False
    sizes = tuple(value.shape)[len(value.shape) - array.ndim :]
    return all(own in (1, size) for own, size in zip(array.shape, sizes, strict=True))


def has_same_shape(first: ir.Value | None, second: ir.Value | None) -> bool:
    """True where two values certainly have the same shape: sizes without a name may differ."""
    if first is None or second is None:
        return False
    if first is second:
        return True
    if first.shape is None or second.shape is None:
        return False
    return first.shape == second.shape and not any(_is_nameless(size) for size in first.shape)


def _is_nameless(size: int | ir.SymbolicDim) -> bool:
    return isinstance(size, ir.SymbolicDim) and size.value is None


def get_producer(value: ir.Value | None) -> ir.Node | None:
    """The node that computes the value; None for an input, an initialiser, and no value."""
    return None if value is None else value.producer()


def match_operator(value: ir.Value | None, *operators: str) -> ir.Node | None:
    """The node that computes the value, where it is one of these standard operators, else None."""
    node = get_producer(value)
    return node if node is not None and node.op_type in operators and not node.domain else None


def match_argument(value: ir.Value | None, operator: str) -> ir.Value | None:
    """x where the value is operator(x, ...), else None."""
    node = match_operator(value, operator)
    return None if node is None else node.inputs[0]


def list_operand_orders(node: ir.Node) -> Sequence[tuple[ir.Value | None, ir.Value | None]]:
    """The two inputs of a node in both orders; none for another number of inputs."""
    if len(node.inputs) != 2:
        return ()
    first, second = node.inputs
    return (first, second), (second, first)


def feeds_only(value: ir.Value, node: ir.Node) -> bool:
    """True where `node` alone reads `value`, once, and the value is no output of the graph."""
    return not value.is_graph_output() and [use.node for use in value.uses()] == [node]


def get_only_consumer(value: ir.Value) -> ir.Node | None:
    """The only node that reads `value`; None for none, for several, and for an output of the graph."""
    uses = list(value.uses())
    return uses[0].node if len(uses) == 1 and not value.is_graph_output() else None


def get_attribute(node: ir.Node, name: str, default: float) -> float:
    """A numeric attribute, or the default that its operator gives it."""
    own = node.attributes.get(name)
    return default if own is None else float(own.value)


def get_layer_name(node: ir.Node) -> str:
    """The module that the node came from, such as `features.3`; else the node's own name."""
    scopes = list_layers(node)
    return scopes[-1] if scopes else node.name or node.op_type


def list_layers(node: ir.Node) -> list[str]:
    """The modules that the node came from, outermost first."""
    text = node.metadata_props.get(SCOPES, "")
    # The exporter writes a Python list: the root's empty name, the enclosing modules, then the call itself.
    names = [part.strip().strip("'\"") for part in text.strip("[]").split(",")]
    return [name for name in names[:-1] if name]


def broadcast_per_channel(array: Array, value: ir.Value, axis: int, channels: int) -> Array | None:
    """A constant that scales or shifts `value`, as one float64 number per channel: [channels].

    None where it differs along another axis than the channels', or would change the value's shape.
    """
    axes = get_rank(value)
    if axes is None or array.ndim > axes:
        return None
    aligned = array.reshape((1,) * (axes - array.ndim) + array.shape).astype(np.float64)
    others = [size for position, size in enumerate(aligned.shape) if position != axis % axes]
    if any(size != 1 for size in others) or aligned.size not in (1, channels):
        return None
    return np.broadcast_to(aligned.reshape(-1), (channels,))


def is_representable(numbers: Array, dtype: Any) -> bool:
    """True where rounding the float64 numbers to `dtype` neither overflows nor loses small ones."""
    limits = np.finfo(dtype)
    magnitude = np.abs(numbers)
    return bool(((magnitude <= limits.max) & ((magnitude >= limits.tiny) | (magnitude == 0))).all())
