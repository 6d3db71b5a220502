"""p · Relu(x) + n · Min(x, 0) -> p · PRelu(x, n / p): a slope on either side of zero.

The left side may also be written −Relu(−x) or (x − |x|) / 2. Exact: one of the two terms is
always 0, and n / p is rounded once. The rules for PRelu and for scales then take it further. Declined where a
slope is not constant, p is 0, or n / p would be so large that a scale and a slope lose digits.
"""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from convert.graph.affine import match_scale
from convert.graph.edit import Edit
from convert.graph.nodes import (
    feeds_only,
    get_producer,
    get_scalar,
    is_representable,
    list_operand_orders,
    match_argument,
)
from convert.graph.rule import FIRED, Declined, Outcome, Rule
from convert.model_io.array import Array

LARGEST_RATIO = 1e3


@dataclass(frozen=True, slots=True)
class _Side:
    """slope · max(0, x), or slope · min(0, x); a slope of None is not constant."""

    value: ir.Value
    slope: Array | None


def _rewrite(node: ir.Node) -> Outcome:
    sign = -1.0 if node.op_type == "Sub" else 1.0
    first, second = node.inputs
    for right, left in (
        (_match_right(first), _match_left(second, sign)),
        (_match_right(second, sign), _match_left(first)),
    ):
        if right is not None and left is not None and right.value is left.value:
            return _join(node, right, left)
    return None


def _join(node: ir.Node, right: _Side, left: _Side) -> Outcome:
    value, dtype = right.value, right.value.dtype
    if right.slope is None or left.slope is None or dtype is None:
        return Declined("the slope is not constant")
    if not right.slope.all() or (np.abs(left.slope / right.slope) > LARGEST_RATIO).any():
        return Declined("the right slope is 0 or far below the left one")
    slope = left.slope / right.slope
    if not is_representable(slope, dtype.numpy()):
        return Declined(f"the ratio of the slopes leaves the range of {dtype}")
    edit = Edit(node)
    curve = edit.op("PRelu", value, edit.constant(slope, dtype.numpy(), "slope"))
    if (right.slope != 1).any():
        curve = edit.op("Mul", curve, edit.constant(right.slope, dtype.numpy(), "scale"))
    edit.replace(curve)
    return FIRED


def _match_right(value: ir.Value | None, sign: float = 1.0) -> _Side | None:
    """The term p · Relu(x)."""
    factor, node = _split_scale(value)
    if node is None or node.op_type != "Relu" or node.inputs[0] is None:
        return None
    return _Side(node.inputs[0], None if factor is None else factor * sign)


def _match_left(value: ir.Value | None, sign: float = 1.0) -> _Side | None:
    """The term n · min(0, x)."""
    factor, node = _split_scale(value)
    if node is None:
        return None
    for form, slope in ((_match_min, 1.0), (_match_mirrored_relu, -1.0), (_match_difference, 2.0)):
        source = form(node)
        if source is not None:
            return _Side(source, None if factor is None else factor * (slope * sign))
    return None


def _split_scale(value: ir.Value | None) -> tuple[Array | None, ir.Node | None]:
    """(the factor, the node that it multiplies); the factor is None where it is computed."""
    node = get_producer(value)
    if node is None or node.op_type == "Neg":
        return np.ones(()), node
    scaled = match_scale(node)
    if scaled is not None:
        inner = scaled[0].producer()
        return (scaled[1], inner) if inner is not None else (np.ones(()), node)
    if node.op_type == "Mul":
        operands = (get_producer(operand) for operand in node.inputs)
        minimum = next((side for side in operands if side is not None and _match_min(side) is not None), None)
        return (None, minimum) if minimum is not None else (np.ones(()), node)
    return np.ones(()), node


def _match_min(node: ir.Node) -> ir.Value | None:
    """x of Min(x, 0)."""
    orders = list_operand_orders(node) if node.op_type == "Min" else ()
    return next((x for x, bound in orders if get_scalar(bound, beside=x) == 0), None)


def _match_mirrored_relu(node: ir.Node) -> ir.Value | None:
    """x of Relu(−x)."""
    scaled = match_scale(get_producer(node.inputs[0])) if node.op_type == "Relu" else None
    return scaled[0] if scaled is not None and scaled[1].size == 1 and (scaled[1] == -1).all() else None


def _match_difference(node: ir.Node) -> ir.Value | None:
    """x of x − |x|, which is 2 · min(0, x)."""
    if node.op_type != "Sub" or node.inputs[1] is None or not feeds_only(node.inputs[1], node):
        return None
    return node.inputs[0] if match_argument(node.inputs[1], "Abs") is node.inputs[0] else None


RULE = Rule("relu_min_to_prelu", ("Add", "Sub"), _rewrite)
