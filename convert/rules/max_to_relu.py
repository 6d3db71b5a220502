"""Max(x, 0) -> Relu(x), and x · Cast(x > 0) -> Relu(x), which is how a mask writes it.

Exact for every finite x, and −∞ · 0 of the masked form, NaN, becomes 0. ONNX Runtime takes a Relu over into
the layer before it, and the rules for PReLU and ELU read it. Declined where the zeros would widen x.
"""

import onnx_ir as ir

from convert.rewriting.graph import Edit, constant, scalar
from convert.rewriting.rule import FIRED, Declined, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    value = _above(node) if node.op_type == "Max" else _masked(node)
    if value is None or value.dtype is None or not value.dtype.is_floating_point():
        return None
    if value.shape is None or value.shape != node.outputs[0].shape:
        return Declined("the zeros may widen the shape of what they meet")
    edit = Edit(node)
    edit.replace(edit.op("Relu", value))
    return FIRED


def _above(node: ir.Node) -> ir.Value | None:
    """x of Max(x, 0)."""
    if len(node.inputs) != 2:
        return None
    for value, bound in (node.inputs, tuple(reversed(node.inputs))):
        array = constant(bound)
        if value is not None and array is not None and constant(value) is None and not array.any():
            return value
    return None


def _masked(node: ir.Node) -> ir.Value | None:
    """x of x · Cast(x > 0)."""
    for value, mask in (node.inputs, tuple(reversed(node.inputs))):
        cast = mask.producer() if mask is not None else None
        test = cast.inputs[0].producer() if cast is not None and cast.inputs[0] is not None else None
        if cast is None or test is None or cast.op_type != "Cast" or test.inputs[0] is not value:
            continue
        if test.op_type in ("Greater", "GreaterOrEqual") and scalar(test.inputs[1]) == 0:
            return value
    return None


RULE = Rule("max_to_relu", ("Max", "Mul"), _rewrite)
