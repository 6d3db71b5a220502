"""Max(x, a · x) -> PRelu(x, a) for a <= 1, and Min(x, a · x) -> PRelu(x, a) for a >= 1.

Exact: for a <= 1, a · x is the larger of the two where x < 0, and x where it is not; for a >= 1 the
smaller. So does Darknet's code, and many a paper's, write LeakyReLU. Declined where the slope is on the
wrong side of 1 in a channel.
"""

import onnx_ir as ir

from convert.graph.affine import scale_of
from convert.graph.nodes import Edit
from convert.graph.rule import FIRED, Declined, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    if len(node.inputs) != 2:
        return None
    for value, other in (node.inputs, tuple(reversed(node.inputs))):
        product = other.producer() if other is not None else None
        scaled = scale_of(product) if product is not None else None
        if value is None or value.dtype is None or scaled is None or scaled[0] is not value:
            continue
        if not ((scaled[1] <= 1) if node.op_type == "Max" else (scaled[1] >= 1)).all():
            return Declined("the slope is on the wrong side of 1 in a channel")
        edit = Edit(node)
        edit.replace(edit.op("PRelu", value, edit.constant(scaled[1], value.dtype.numpy(), "slope")))
        return FIRED
    return None


RULE = Rule("max_to_prelu", ("Max", "Min"), _rewrite)
