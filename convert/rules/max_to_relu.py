"""Max(x, 0) -> Relu(x), and x · Cast(x > 0) -> Relu(x), which is how a mask writes it.

Exact for every finite x, and −∞ · 0 of the masked form, NaN, becomes 0. ONNX Runtime takes a Relu over into
the layer before it, and the rules for PReLU and ELU read it. Declined where the zeros would widen x.
"""

import onnx_ir as ir

from convert.graph.nodes import Array, Edit, constant, fits
from convert.graph.rule import FIRED, Declined, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    value, zeros = _above(node) if node.op_type == "Max" else _masked(node)
    if value is None or zeros is None or value.dtype is None or not value.dtype.is_floating_point():
        return None
    if not fits(zeros, value):
        return Declined("the zeros may widen the shape of what they meet")
    edit = Edit(node)
    edit.replace(edit.op("Relu", value))
    return FIRED


_Found = tuple[ir.Value, Array] | tuple[None, None]


def _above(node: ir.Node) -> _Found:
    """(x, the zeros) of Max(x, 0)."""
    if len(node.inputs) != 2:
        return None, None
    for value, bound in (node.inputs, tuple(reversed(node.inputs))):
        array = constant(bound)
        if value is not None and array is not None and constant(value) is None and not array.any():
            return value, array
    return None, None


def _masked(node: ir.Node) -> _Found:
    """(x, the zero) of x · Cast(x > 0)."""
    for value, mask in (node.inputs, tuple(reversed(node.inputs))):
        cast = mask.producer() if mask is not None else None
        test = cast.inputs[0].producer() if cast is not None and cast.inputs[0] is not None else None
        if cast is None or test is None or cast.op_type != "Cast" or test.inputs[0] is not value:
            continue
        zero = constant(test.inputs[1]) if test.op_type in ("Greater", "GreaterOrEqual") else None
        if value is not None and zero is not None and zero.size == 1 and not zero.any():
            return value, zero
    return None, None


RULE = Rule("max_to_relu", ("Max", "Mul"), _rewrite)
