"""x / c -> x · (1/c) for a constant c.

Exact up to the rounding of 1/c, half a unit in the last place of x's result. ONNX Runtime multiplies faster
than it divides, and keeps a multiplication per channel in the blocked layout of the convolution before it.
Declined where 1/c overflows or falls below the normal numbers.
"""

import onnx_ir as ir

from convert.graph.affine import match_scale
from convert.graph.edit import Edit
from convert.graph.nodes import get_constant, is_representable
from convert.graph.rule import FIRED, Declined, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    scaled, divisor = match_scale(node), get_constant(node.inputs[1])
    if scaled is None or divisor is None:
        return None
    value, reciprocal = scaled
    if not is_representable(reciprocal, divisor.dtype):
        return Declined(f"the reciprocal of the divisor leaves the range of {divisor.dtype}")
    edit = Edit(node)
    edit.replace(edit.op("Mul", value, edit.constant(reciprocal, divisor.dtype, "scale")))
    return FIRED


RULE = Rule("division_to_multiplication", ("Div",), _rewrite)
