"""A multiplication or addition of a constant, read as one scale or shift a channel.

A constant that would change the shape of what it meets, as three numbers do that of one channel, is neither.
"""

import numpy as np
import onnx_ir as ir

from convert.graph.linear import NotExactError
from convert.graph.nodes import Array, constant, fits, spread


def scale_of(node: ir.Node) -> tuple[ir.Value, Array] | None:
    """(x, factor in float64) of x · factor, factor · x or x / divisor with a constant, or −x, else None."""
    if node.op_type == "Neg" and not node.domain and node.inputs[0] is not None:
        return node.inputs[0], np.full((), -1.0)
    found = _with_constant(node, commutes=node.op_type == "Mul")
    if found is None or node.op_type not in ("Mul", "Div"):
        return None
    value, array = found
    if node.op_type == "Mul":
        return value, array
    return (value, 1 / array) if array.all() else None


def shift_of(node: ir.Node) -> tuple[ir.Value, Array] | None:
    """(x, addend in float64) of x + addend, addend + x or x − subtrahend with a constant, else None."""
    found = _with_constant(node, commutes=node.op_type == "Add")
    if found is None or node.op_type not in ("Add", "Sub"):
        return None
    value, array = found
    return value, array if node.op_type == "Add" else -array


def per_channel(array: Array, value: ir.Value, axis: int, channels: int) -> Array:
    """The constant as one number a channel of `value`, [channels]. NotExactError where it is not that."""
    vector = spread(array, value, axis, channels)
    if vector is None:
        raise NotExactError(
            f"a constant of shape {list(array.shape)} is not one number for each of {channels} channels"
        )
    return vector


def _with_constant(node: ir.Node, commutes: bool) -> tuple[ir.Value, Array] | None:
    if node.domain or len(node.inputs) != 2:
        return None
    pairs = [(node.inputs[0], node.inputs[1])]
    if commutes:
        pairs.append((node.inputs[1], node.inputs[0]))
    for value, other in pairs:
        array = constant(other)
        if value is None or array is None or constant(value) is not None or array.dtype.kind != "f":
            continue
        return (value, array.astype(np.float64)) if fits(array, value) else None
    return None
