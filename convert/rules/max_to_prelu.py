"""Max(x, a · x) -> PRelu(x, a) for a <= 1, and Min(x, a · x) -> PRelu(x, a) for a >= 1.

Exact: for a <= 1, a · x is the larger of the two where x < 0, and x where it is not; for a >= 1 the
smaller. So does Darknet's code, and many a paper's, write LeakyReLU. Declined where the slope is on the
wrong side of 1 in a channel.
"""

import onnx_ir as ir

from convert.graph.affine import match_scale
from convert.graph.edit import Edit
from convert.graph.nodes import get_producer, list_operand_orders
from convert.graph.rule import FIRED, Declined, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    for value, other in list_operand_orders(node):
        scaled = match_scale(get_producer(other))
        if value is None or value.dtype is None or scaled is None or scaled[0] is not value:
            continue
        if not ((scaled[1] <= 1) if node.op_type == "Max" else (scaled[1] >= 1)).all():
            return Declined("the slope is on the wrong side of 1 in a channel")
        edit = Edit(node)
        edit.replace(edit.op("PRelu", value, edit.constant(scaled[1], value.dtype.numpy(), "slope")))
        return FIRED
    return None


RULE = Rule("max_to_prelu", ("Max", "Min"), _rewrite)
