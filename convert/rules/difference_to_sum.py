"""x − y · c -> x + y · (−c), and x − y -> x + y · (−1) between operators that keep a convolution's layout.

Exact: a sign does not round. ONNX Runtime adds in the blocked layout of a convolution, within a convolution
where it can, and leaves it to subtract.
"""

import numpy as np
import onnx_ir as ir

from convert.graph.affine import scale_of
from convert.graph.layout import between_blocked, blocked
from convert.graph.nodes import Edit, constant, only_feeds
from convert.graph.rule import FIRED, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    minuend, subtrahend = node.inputs
    if minuend is None or subtrahend is None or subtrahend.dtype is None:
        return None
    if constant(minuend) is not None or constant(subtrahend) is not None:
        return None
    product = subtrahend.producer()
    scaled = scale_of(product) if product is not None and only_feeds(subtrahend, node) else None
    if scaled is None and not (between_blocked(node, minuend) and blocked(subtrahend)):
        return None
    value, factor = scaled if scaled is not None else (subtrahend, np.ones(()))
    edit = Edit(node)
    dtype = subtrahend.dtype.numpy()
    if not np.issubdtype(dtype, np.floating):
        return None
    edit.replace(edit.op("Add", minuend, edit.op("Mul", value, edit.constant(-factor, dtype, "scale"))))
    return FIRED


RULE = Rule("difference_to_sum", ("Sub",), _rewrite)
