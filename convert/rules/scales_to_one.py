"""x · a · b -> x · (a · b).

Exact up to rounding: the constants are multiplied in float64 and rounded once.
Declined where the product leaves float32's range, or the first scale is read elsewhere too.
"""

import onnx_ir as ir

from convert.graph.affine import match_scale
from convert.graph.edit import Edit
from convert.graph.nodes import feeds_only, is_representable
from convert.graph.rule import FIRED, Declined, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    outer = match_scale(node)
    inner = match_scale(outer[0].producer()) if outer is not None else None
    if outer is None or inner is None or outer[0].dtype is None:
        return None
    if not feeds_only(outer[0], node):
        return Declined("the first scale is read elsewhere too")
    factor, dtype = inner[1] * outer[1], outer[0].dtype.numpy()
    if not is_representable(factor, dtype):
        return Declined(f"the product of the scales leaves the range of {dtype}")
    edit = Edit(node)
    edit.replace(edit.op("Mul", inner[0], edit.constant(factor, dtype, "scale")))
    return FIRED


RULE = Rule("scales_to_one", ("Mul", "Div", "Neg"), _rewrite)
