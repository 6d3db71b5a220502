"""Pow(x, 2) -> x · x, Pow(x, 3) -> x · x · x.

Exact up to the rounding of one product. ONNX Runtime keeps products in the blocked layout of a convolution
and leaves it for Pow (1.05 instead of 1.09 of a ReLU network's time for a cubic). Other exponents are left.
"""

import onnx_ir as ir

from convert.graph.edit import Edit
from convert.graph.nodes import get_scalar
from convert.graph.rule import FIRED, Declined, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    value, exponent = node.inputs[0], get_scalar(node.inputs[1])
    if value is None or value.dtype is None:
        return Declined("the type of the input is not known")
    if exponent not in (2, 3) or not value.dtype.is_floating_point():
        return Declined("only the square and the cube of floating point numbers are products of two or three")
    if get_scalar(node.inputs[1], beside=value) is None:
        return Declined("the exponent may widen the shape of what it meets")
    edit = Edit(node)
    square = edit.op("Mul", value, value)
    edit.replace(square if exponent == 2 else edit.op("Mul", square, value))
    return FIRED


RULE = Rule("power_to_product", ("Pow",), _rewrite)
