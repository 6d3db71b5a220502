"""Conv(x) · s -> Conv'(x), s in weights and bias; also after Gemm, MatMul (+ Add), BatchNormalization.

Exact for any s, one number or one a channel: a linear layer's output scales with its weights, and they are
multiplied in float64 and rounded once. Declined where the layer's output is read elsewhere too (its readers
would see the scaled one), where the weights are not constant, and where they would leave float32's range.
"""

import numpy as np
import onnx_ir as ir

from convert.graph.affine import match_scale, require_per_channel
from convert.graph.edit import Edit
from convert.graph.layers import find_layer_before
from convert.graph.linear import NotExactError
from convert.graph.nodes import feeds_only
from convert.graph.rule import FIRED, Declined, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    operands = match_scale(node)
    layer = find_layer_before(operands[0]) if operands is not None else None
    if operands is None or layer is None:
        return None
    value, factor = operands
    if not feeds_only(value, node):
        return Declined(f"the output of `{layer.node.op_type}` is read elsewhere too")
    try:
        scale = require_per_channel(factor, value, layer.channel_axis, layer.outputs)
        layer.transform_output(scale, np.zeros(layer.outputs))
    except NotExactError as reason:
        return Declined(str(reason))
    Edit(node).replace(value)
    return FIRED


RULE = Rule("scale_into_previous", ("Mul", "Div", "Neg"), _rewrite)
