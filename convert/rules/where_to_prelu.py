"""Where(x > 0, x, a · x) -> PRelu(x, a), also with x >= 0, and with x < 0 and x <= 0 the other way round.

Exact: it is the definition of PRelu; at x = 0 both sides are 0. The rules for PRelu then take it further.
Declined where a is not constant, or would widen x.
"""

import onnx_ir as ir

from convert.graph.affine import scale_of
from convert.graph.nodes import Edit, scalar
from convert.graph.rule import FIRED, Declined, Outcome, Rule

SIDES = {"Greater": (1, 2), "GreaterOrEqual": (1, 2), "Less": (2, 1), "LessOrEqual": (2, 1)}


def _rewrite(node: ir.Node) -> Outcome:
    test = node.inputs[0].producer() if node.inputs[0] is not None else None
    if test is None or test.op_type not in SIDES or scalar(test.inputs[1], beside=test.inputs[0]) != 0:
        return None
    right, left = (node.inputs[position] for position in SIDES[test.op_type])
    value = test.inputs[0]
    product = left.producer() if left is not None else None
    if value is None or right is not value or product is None or product.op_type != "Mul":
        return None
    if value not in product.inputs:
        return None
    scaled = scale_of(product)
    if scaled is None or value.dtype is None:
        return Declined("the slope is not constant, or would widen x")
    edit = Edit(node)
    edit.replace(edit.op("PRelu", value, edit.constant(scaled[1], value.dtype.numpy(), "slope")))
    return FIRED


RULE = Rule("where_to_prelu", ("Where",), _rewrite)
