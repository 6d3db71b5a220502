"""Conv(x) + t -> Conv'(x) with t in the bias; also after Gemm, MatMul + Add, BatchNormalization.

Exact for any t, one number or one a channel, whatever the padding: the output is shifted, not the input.
Declined where the layer's output is read elsewhere too, and where the bias is not constant.
"""

import numpy as np
import onnx_ir as ir

from convert.graph.affine import per_channel, shift_of
from convert.graph.layers import layer_before
from convert.graph.linear import NotExactError
from convert.graph.nodes import Edit, only_feeds
from convert.graph.rule import FIRED, Declined, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    found = shift_of(node)
    layer = layer_before(found[0]) if found is not None else None
    if found is None or layer is None or layer_before(node.outputs[0]) is not None:
        return None  # the Add after a MatMul is its bias
    value, addend = found
    if not only_feeds(value, node):
        return Declined(f"the output of `{layer.node.op_type}` is read elsewhere too")
    try:
        shift = per_channel(addend, value, layer.channel_axis, layer.outputs)
        layer.transform_output(np.ones(layer.outputs), shift)
    except NotExactError as reason:
        return Declined(str(reason))
    Edit(node).replace(value)
    return FIRED


RULE = Rule("shift_into_previous", ("Add", "Sub"), _rewrite)
