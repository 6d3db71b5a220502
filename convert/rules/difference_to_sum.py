"""x − y · c -> x + y · (−c), and x − y -> x + y · (−1) between operators that keep a convolution's layout.

Exact: a sign does not round. ONNX Runtime adds in the blocked layout of a convolution, within a convolution
where it can, and leaves it to subtract.
"""

import numpy as np
import onnx_ir as ir

from convert.graph.affine import match_scale
from convert.graph.edit import Edit
from convert.graph.layout import is_between_blocked, is_blocked
from convert.graph.nodes import feeds_only, get_constant
from convert.graph.rule import FIRED, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    minuend, subtrahend = node.inputs
    if minuend is None or subtrahend is None or subtrahend.dtype is None:
        return None
    if get_constant(minuend) is not None or get_constant(subtrahend) is not None:
        return None
    scaled = match_scale(subtrahend.producer()) if feeds_only(subtrahend, node) else None
    if scaled is None and not (is_between_blocked(node, minuend) and is_blocked(subtrahend)):
        return None
    value, factor = scaled if scaled is not None else (subtrahend, np.ones(()))
    edit = Edit(node)
    dtype = subtrahend.dtype.numpy()
    if not np.issubdtype(dtype, np.floating):
        return None
    edit.replace(edit.op("Add", minuend, edit.op("Mul", value, edit.constant(-factor, dtype, "scale"))))
    return FIRED


RULE = Rule("difference_to_sum", ("Sub",), _rewrite)
