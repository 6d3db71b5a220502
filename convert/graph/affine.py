"""Multiplications and additions of a constant, read as one scale or shift per channel.

A constant that would change the shape of the other operand is neither.
"""

import numpy as np
import onnx_ir as ir

from convert.graph.linear import NotExactError
from convert.graph.nodes import broadcast_per_channel, get_constant, keeps_shape, list_operand_orders
from convert.model_io.array import Array


def match_scale(node: ir.Node | None) -> tuple[ir.Value, Array] | None:
    """(x, factor in float64) of x · factor, factor · x or x / divisor with a constant, or −x, else None."""
    if node is None or node.op_type not in ("Mul", "Div", "Neg"):
        return None
    if node.op_type == "Neg" and not node.domain and node.inputs[0] is not None:
        return node.inputs[0], np.full((), -1.0)
    operands = _match_constant_operand(node, commutes=node.op_type == "Mul")
    if operands is None:
        return None
    value, array = operands
    if node.op_type == "Mul":
        return value, array
    return (value, 1 / array) if array.all() else None


def match_shift(node: ir.Node | None) -> tuple[ir.Value, Array] | None:
    """(x, addend in float64) of x + addend, addend + x or x − subtrahend with a constant, else None."""
    if node is None or node.op_type not in ("Add", "Sub"):
        return None
    operands = _match_constant_operand(node, commutes=node.op_type == "Add")
    if operands is None:
        return None
    value, array = operands
    return value, array if node.op_type == "Add" else -array


def require_per_channel(array: Array, value: ir.Value, axis: int, channels: int) -> Array:
    """The constant as one number per channel of `value`, [channels]. NotExactError where it is not."""
    vector = broadcast_per_channel(array, value, axis, channels)
    if vector is None:
        raise NotExactError(
            f"a constant of shape {list(array.shape)} is not one number for each of {channels} channels"
        )
    return vector


def _match_constant_operand(node: ir.Node, commutes: bool) -> tuple[ir.Value, Array] | None:
    """(x, the constant) of a standard operator on both, in this order unless it commutes."""
    if node.domain:
        return None
    orders = list_operand_orders(node)
    for value, other in orders if commutes else orders[:1]:
        array = get_constant(other)
        if value is None or array is None or get_constant(value) is not None or array.dtype.kind != "f":
            continue
        return (value, array.astype(np.float64)) if keeps_shape(array, value) else None
    return None
