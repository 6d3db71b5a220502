"""Where(x > 0, x, a · x) -> PRelu(x, a), also with x >= 0, and with x < 0 and x <= 0 the other way round.

Exact: it is the definition of PRelu; at x = 0 both sides are 0. The rules for PRelu then take it further.
Declined where a is not constant, or would widen x.
"""

import onnx_ir as ir

from convert.graph.affine import match_scale
from convert.graph.edit import Edit
from convert.graph.nodes import get_producer, get_scalar, match_operator
from convert.graph.rule import FIRED, Declined, Outcome, Rule

_BRANCHES = {"Greater": (1, 2), "GreaterOrEqual": (1, 2), "Less": (2, 1), "LessOrEqual": (2, 1)}


def _rewrite(node: ir.Node) -> Outcome:
    branches = match_branches(node)
    if branches is None:
        return None
    value, right, left = branches
    product = get_producer(left)
    if right is not value or product is None or product.op_type != "Mul" or value not in product.inputs:
        return None
    scaled = match_scale(product)
    if scaled is None or value.dtype is None:
        return Declined("the slope is not constant, or would widen x")
    edit = Edit(node)
    edit.replace(edit.op("PRelu", value, edit.constant(scaled[1], value.dtype.numpy(), "slope")))
    return FIRED


def match_branches(node: ir.Node) -> tuple[ir.Value, ir.Value | None, ir.Value | None] | None:
    """(x, the value for x above 0, the value below 0) of a Where that compares x with 0."""
    test = match_operator(node.inputs[0], *_BRANCHES)
    if test is None or test.inputs[0] is None or get_scalar(test.inputs[1], beside=test.inputs[0]) != 0:
        return None
    right, left = (node.inputs[position] for position in _BRANCHES[test.op_type])
    return test.inputs[0], right, left


RULE = Rule("where_to_prelu", ("Where",), _rewrite)
