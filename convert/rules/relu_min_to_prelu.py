"""p · Relu(x) + n · Min(x, 0) -> p · PRelu(x, n / p): a slope on either side of zero.

The left side may also be written −Relu(−x) or (x − |x|) / 2. Exact: one of the two terms is
always 0, and n / p is rounded once. The rules for PRelu and for scales then take it further. Declined where a
slope is not constant, p is 0, or n / p would be so large that a scale and a slope lose digits.
"""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from convert.graph.affine import scale_of
from convert.graph.nodes import Array, Edit, only_feeds, representable, scalar
from convert.graph.rule import FIRED, Declined, Outcome, Rule

LARGEST_RATIO = 1e3


@dataclass(frozen=True, slots=True)
class _Side:
    """slope · max(0, x), or slope · min(0, x); a slope of None is not constant."""

    value: ir.Value
    slope: Array | None


def _rewrite(node: ir.Node) -> Outcome:
    sign = -1.0 if node.op_type == "Sub" else 1.0
    first, second = node.inputs
    for right, left in ((_right(first), _left(second, sign)), (_right(second, sign), _left(first))):
        if right is not None and left is not None and right.value is left.value:
            return _joined(node, right, left)
    return None


def _joined(node: ir.Node, right: _Side, left: _Side) -> Outcome:
    value, dtype = right.value, right.value.dtype
    if right.slope is None or left.slope is None or dtype is None:
        return Declined("the slope is not constant")
    if not right.slope.all() or (np.abs(left.slope / right.slope) > LARGEST_RATIO).any():
        return Declined("the right slope is 0 or far below the left one")
    slope = left.slope / right.slope
    if not representable(slope, dtype.numpy()):
        return Declined(f"the ratio of the slopes leaves the range of {dtype}")
    edit = Edit(node)
    bent = edit.op("PRelu", value, edit.constant(slope, dtype.numpy(), "slope"))
    if (right.slope != 1).any():
        bent = edit.op("Mul", bent, edit.constant(right.slope, dtype.numpy(), "scale"))
    edit.replace(bent)
    return FIRED


def _right(value: ir.Value | None, sign: float = 1.0) -> _Side | None:
    """The term p · Relu(x)."""
    factor, node = _scaled(value)
    if node is None or node.op_type != "Relu" or node.inputs[0] is None:
        return None
    return _Side(node.inputs[0], None if factor is None else factor * sign)


def _left(value: ir.Value | None, sign: float = 1.0) -> _Side | None:
    """The term n · min(0, x)."""
    factor, node = _scaled(value)
    if node is None:
        return None
    for form, slope in ((_bounded, 1.0), (_mirrored, -1.0), (_halved, 2.0)):
        source = form(node)
        if source is not None:
            return _Side(source, None if factor is None else factor * (slope * sign))
    return None


def _scaled(value: ir.Value | None) -> tuple[Array | None, ir.Node | None]:
    """(the factor, what it multiplies); the factor is None where it is computed."""
    node = value.producer() if value is not None else None
    found = scale_of(node) if node is not None else None
    if found is not None and node is not None and node.op_type != "Neg":
        inner = found[0].producer()
        return (found[1], inner) if inner is not None else (np.ones(()), node)
    if node is not None and node.op_type == "Mul":
        sides = [each.producer() for each in node.inputs if each is not None]
        known = [side for side in sides if side is not None and _bounded(side) is not None]
        return (None, known[0]) if known else (np.ones(()), node)
    return np.ones(()), node


def _bounded(node: ir.Node) -> ir.Value | None:
    """x of Min(x, 0)."""
    if node.op_type != "Min" or len(node.inputs) != 2:
        return None
    sides = (node.inputs, tuple(reversed(node.inputs)))
    return next((x for x, bound in sides if scalar(bound, beside=x) == 0), None)


def _mirrored(node: ir.Node) -> ir.Value | None:
    """x of Relu(−x)."""
    source = node.inputs[0].producer() if node.op_type == "Relu" and node.inputs[0] is not None else None
    found = scale_of(source) if source is not None else None
    return found[0] if found is not None and (found[1] == -1).all() and found[1].size == 1 else None


def _halved(node: ir.Node) -> ir.Value | None:
    """x of x − |x|, which is 2 · min(0, x)."""
    if node.op_type != "Sub" or node.inputs[1] is None:
        return None
    magnitude = node.inputs[1].producer()
    absolute = magnitude is not None and magnitude.op_type == "Abs" and only_feeds(node.inputs[1], node)
    same = absolute and magnitude is not None and magnitude.inputs[0] is node.inputs[0]
    return node.inputs[0] if same else None


RULE = Rule("relu_min_to_prelu", ("Add", "Sub"), _rewrite)
