"""Conv(x) · s -> Conv'(x), s in weights and bias; also after Gemm, MatMul (+ Add), BatchNormalization.

Exact for any s, one number or one a channel: a linear layer's output scales with its weights, and they are
multiplied in float64 and rounded once. Declined where the layer's output is read elsewhere too (its readers
would see the scaled one), where the weights are not constant, and where they would leave float32's range.
"""

import numpy as np
import onnx_ir as ir

from convert.graph.affine import per_channel, scale_of
from convert.graph.layers import layer_before
from convert.graph.linear import NotExactError
from convert.graph.nodes import Edit, only_feeds
from convert.graph.rule import FIRED, Declined, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    found = scale_of(node)
    layer = layer_before(found[0]) if found is not None else None
    if found is None or layer is None:
        return None
    value, factor = found
    if not only_feeds(value, node):
        return Declined(f"the output of `{layer.node.op_type}` is read elsewhere too")
    try:
        scale = per_channel(factor, value, layer.channel_axis, layer.outputs)
        layer.transform_output(scale, np.zeros(layer.outputs))
    except NotExactError as reason:
        return Declined(str(reason))
    Edit(node).replace(value)
    return FIRED


RULE = Rule("scale_into_previous", ("Mul", "Div", "Neg"), _rewrite)
