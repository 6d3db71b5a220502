"""Conv(x · s) -> Conv'(x) with s in the weights; also before Gemm, MatMul, BatchNormalization.

Exact for any s, one number or one a channel, whatever the padding: zero stays zero when scaled.
Declined where the scaled value is read elsewhere too or is an output of the graph, and where the weights
are not constant or would leave float32's range.
"""

import numpy as np
import onnx_ir as ir

from convert.graph.affine import per_channel, scale_of
from convert.graph.layers import layer_reading
from convert.graph.linear import NotExactError
from convert.graph.nodes import Edit, only_feeds
from convert.graph.rule import FIRED, Declined, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    found, scaled = scale_of(node), node.outputs[0]
    if found is None:
        return None
    value, factor = found
    layer = layer_reading(scaled)
    if layer is None:
        return None
    if not only_feeds(scaled, layer.node):
        return Declined("the scaled value is an output of the graph or is read elsewhere too")
    try:
        scale = per_channel(factor, value, layer.channel_axis, layer.inputs)
        layer.transform_input(scale, np.zeros(layer.inputs))
    except NotExactError as reason:
        return Declined(str(reason))
    Edit(node).replace(value)
    return FIRED


RULE = Rule("scale_into_next", ("Mul", "Div", "Neg"), _rewrite)
