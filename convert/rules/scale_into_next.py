"""Conv(x · s) -> Conv'(x) with s in the weights; also before Gemm, MatMul, BatchNormalization.

Exact for any s, one number or one a channel, whatever the padding: zero stays zero when scaled.
Declined where the scaled value is read elsewhere too or is an output of the graph, and where the weights
are not constant or would leave float32's range.
"""

import numpy as np
import onnx_ir as ir

from convert.graph.affine import match_scale, require_per_channel
from convert.graph.edit import Edit
from convert.graph.layers import find_layer_after
from convert.graph.linear import NotExactError
from convert.graph.nodes import feeds_only
from convert.graph.rule import FIRED, Declined, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    operands, scaled = match_scale(node), node.outputs[0]
    if operands is None:
        return None
    value, factor = operands
    layer = find_layer_after(scaled)
    if layer is None:
        return None
    if not feeds_only(scaled, layer.node):
        return Declined("the scaled value is an output of the graph or is read elsewhere too")
    try:
        scale = require_per_channel(factor, value, layer.channel_axis, layer.inputs)
        layer.transform_input(scale, np.zeros(layer.inputs))
    except NotExactError as reason:
        return Declined(str(reason))
    Edit(node).replace(value)
    return FIRED


RULE = Rule("scale_into_next", ("Mul", "Div", "Neg"), _rewrite)
