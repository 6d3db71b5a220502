"""BatchNormalization(Conv(x)) -> Conv'(x), g · (y − m) / √(v + ε) + b in weights and bias.

Also after ConvTranspose, Gemm, MatMul (+ Add), and the other normalisations.

Exact up to rounding: with constant statistics it is one scale and one shift a channel, worked out in float64
and rounded once with the weights. Declined where the layer's output is read elsewhere too, where something of
either is not constant, where the channels of the layer are not those that are normalised, as after a MatMul
of [batch, rows, channels], and where the weights would leave float32's range.
"""

import onnx_ir as ir

from convert.graph.edit import Edit
from convert.graph.layers import find_layer_before
from convert.graph.linear import NotExactError, read_normalization
from convert.graph.nodes import feeds_only, get_rank
from convert.graph.rule import FIRED, Declined, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    value = node.inputs[0]
    layer = find_layer_before(value) if value is not None else None
    if value is None or layer is None:
        return None
    if not feeds_only(value, node):
        return Declined(f"the output of `{layer.node.op_type}` is read elsewhere too")
    if layer.channel_axis != 1 and get_rank(value) != 2:
        return Declined(f"`{layer.node.op_type}` writes other channels than those that are normalised")
    try:
        scale, shift = read_normalization(node)
        if scale.size != layer.outputs:
            return Declined(f"{scale.size} statistics for {layer.outputs} channels")
        layer.transform_output(scale, shift)
    except NotExactError as reason:
        return Declined(str(reason))
    Edit(node).replace(value)
    return FIRED


RULE = Rule("batchnorm_into_previous", ("BatchNormalization",), _rewrite)
