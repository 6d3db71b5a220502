"""(f(x) · s) · g(x) -> (f(x) · g(x)) · s, where the layer after, a scale or a sum of scaled terms takes it.

Exact up to rounding: a product of three numbers in another order, half a unit in the last place.
It applies also where both factors are scaled.
"""

import onnx_ir as ir

from convert.graph.affine import scale_of
from convert.graph.commuting import absorbed
from convert.graph.nodes import Edit, constant, only_consumer, same_shape
from convert.graph.rule import FIRED, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    found = scale_of(node)
    product = only_consumer(node.outputs[0])
    if found is None or product is None or product.domain or product.op_type != "Mul":
        return None
    value, factor = found
    other = next(each for each in product.inputs if each is not node.outputs[0])
    if other is None or constant(other) is not None or node.outputs[0].dtype is None:
        return None
    if not same_shape(other, value) or not absorbed(product.outputs[0], factor):
        return None
    edit = Edit(product)
    number = edit.constant(factor, node.outputs[0].dtype.numpy(), "scale")
    edit.replace(edit.op("Mul", edit.op("Mul", value, other), number))
    return FIRED


RULE = Rule("scale_past_product", ("Mul", "Div", "Neg"), _rewrite)
