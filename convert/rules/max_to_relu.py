"""Max(x, 0) -> Relu(x), and x · Cast(x > 0) -> Relu(x), which is how a mask writes it.

Exact for every finite x, and −∞ · 0 of the masked form, NaN, becomes 0. ONNX Runtime takes a Relu over into
the layer before it, and the rules for PReLU and ELU read it. Declined where the zeros would widen x; a layer
with weights of few bits keeps its Max.
"""

import onnx_ir as ir

from convert.graph.edit import Edit
from convert.graph.nodes import get_constant, keeps_shape, list_operand_orders, match_argument, match_operator
from convert.graph.rule import FIRED, Declined, Outcome, Rule
from convert.graph.small_weights import follows_small_weights
from convert.model_io.array import Array

_Match = tuple[ir.Value, Array] | tuple[None, None]


def _rewrite(node: ir.Node) -> Outcome:
    value, zeros = _match_max(node) if node.op_type == "Max" else _match_mask(node)
    if value is None or zeros is None or value.dtype is None or not value.dtype.is_floating_point():
        return None
    if node.op_type == "Max" and follows_small_weights(value):
        return None
    if not keeps_shape(zeros, value):
        return Declined("the zeros may widen the shape of what they meet")
    edit = Edit(node)
    edit.replace(edit.op("Relu", value))
    return FIRED


def _match_max(node: ir.Node) -> _Match:
    """(x, the zeros) of Max(x, 0)."""
    for value, bound in list_operand_orders(node):
        array = get_constant(bound)
        if value is not None and array is not None and get_constant(value) is None and not array.any():
            return value, array
    return None, None


def _match_mask(node: ir.Node) -> _Match:
    """(x, the zero) of x · Cast(x > 0)."""
    for value, mask in list_operand_orders(node):
        test = match_operator(match_argument(mask, "Cast"), "Greater", "GreaterOrEqual")
        zero = get_constant(test.inputs[1]) if test is not None and test.inputs[0] is value else None
        if value is not None and zero is not None and zero.size == 1 and not zero.any():
            return value, zero
    return None, None


RULE = Rule("max_to_relu", ("Max", "Mul"), _rewrite, is_exact=True)
