"""(f(x) · s) · g(x) -> (f(x) · g(x)) · s, where the layer after, a scale or a sum of scaled terms takes it.

Exact up to rounding: a product of three numbers in another order, half a unit in the last place.
It applies also where both factors are scaled.
"""

import onnx_ir as ir

from convert.graph.affine import match_scale
from convert.graph.commuting import is_absorbed
from convert.graph.edit import Edit
from convert.graph.nodes import get_constant, get_only_consumer, has_same_shape
from convert.graph.rule import FIRED, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    operands = match_scale(node)
    product = get_only_consumer(node.outputs[0])
    if operands is None or product is None or product.domain or product.op_type != "Mul":
        return None
    value, factor = operands
    other = next(operand for operand in product.inputs if operand is not node.outputs[0])
    if other is None or get_constant(other) is not None or node.outputs[0].dtype is None:
        return None
    if not has_same_shape(other, value) or not is_absorbed(product.outputs[0], factor):
        return None
    edit = Edit(product)
    number = edit.constant(factor, node.outputs[0].dtype.numpy(), "scale")
    edit.replace(edit.op("Mul", edit.op("Mul", value, other), number))
    return FIRED


RULE = Rule("scale_past_product", ("Mul", "Div", "Neg"), _rewrite)
