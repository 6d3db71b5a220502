"""Conv(BatchNormalization(x)) -> Conv'(x), where nothing is padded; also before Gemm and BatchNormalization.

Exact up to rounding: with constant statistics it is one scale and one shift a channel, worked out in float64
and rounded once with the weights that read it. A padded Conv pads with zeros that are not normalised, so its
border would differ: declined, as where the normalised value is read elsewhere too.
"""

import onnx_ir as ir

from convert.graph.edit import Edit
from convert.graph.layers import find_layer_after
from convert.graph.linear import NotExactError, read_normalization
from convert.graph.nodes import feeds_only, get_rank
from convert.graph.rule import FIRED, Declined, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    normalised = node.outputs[0]
    layer, axes = find_layer_after(normalised), get_rank(normalised)
    if layer is None or node.inputs[0] is None or axes is None:
        return None
    if not feeds_only(normalised, layer.node):
        return Declined("the normalised value is an output of the graph or is read elsewhere too")
    if layer.channel_axis % axes != 1:
        return Declined(f"`{layer.node.op_type}` reads other channels than those that are normalised")
    try:
        scale, shift = read_normalization(node)
        if scale.size != layer.inputs:
            return Declined(f"{scale.size} statistics for {layer.inputs} channels")
        layer.transform_input(scale, shift)
    except NotExactError as reason:
        return Declined(str(reason))
    Edit(node).replace(node.inputs[0])
    return FIRED


RULE = Rule("batchnorm_into_next", ("BatchNormalization",), _rewrite)
