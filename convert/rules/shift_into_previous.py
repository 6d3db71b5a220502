"""Conv(x) + t -> Conv'(x) with t in the bias; also after Gemm, MatMul + Add, BatchNormalization.

Exact for any t, one number or one a channel, whatever the padding: the output is shifted, not the input.
Declined where the layer's output is read elsewhere too, and where the bias is not constant.
"""

import numpy as np
import onnx_ir as ir

from convert.graph.affine import match_shift, require_per_channel
from convert.graph.edit import Edit
from convert.graph.layers import find_layer_before
from convert.graph.linear import NotExactError
from convert.graph.nodes import feeds_only
from convert.graph.rule import FIRED, Declined, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    operands = match_shift(node)
    layer = find_layer_before(operands[0]) if operands is not None else None
    if operands is None or layer is None or find_layer_before(node.outputs[0]) is not None:
        return None  # the Add after a MatMul is its bias
    value, addend = operands
    if not feeds_only(value, node):
        return Declined(f"the output of `{layer.node.op_type}` is read elsewhere too")
    try:
        shift = require_per_channel(addend, value, layer.channel_axis, layer.outputs)
        layer.transform_output(np.ones(layer.outputs), shift)
    except NotExactError as reason:
        return Declined(str(reason))
    Edit(node).replace(value)
    return FIRED


RULE = Rule("shift_into_previous", ("Add", "Sub"), _rewrite)
