"""Conv(x + t) -> Conv'(x) with W · t in the bias, without padding; also before Gemm and BatchNormalization,
and MatMul with the Add of a bias after it.

Exact for any t, one number or one a channel, where every output sees every input shifted. A padded Conv pads
with zeros that were not shifted, so its border would differ (by 0.72 of the scale, measured): declined, as
where the shifted value is read elsewhere too.
"""

import numpy as np
import onnx_ir as ir

from convert.graph.affine import match_shift, require_per_channel
from convert.graph.edit import Edit
from convert.graph.layers import find_layer_after, find_layer_before
from convert.graph.linear import NotExactError
from convert.graph.nodes import feeds_only
from convert.graph.rule import FIRED, Declined, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    operands, shifted = match_shift(node), node.outputs[0]
    if operands is None or find_layer_before(shifted) is not None:
        return None  # the bias of a MatMul belongs to it
    value, addend = operands
    layer = find_layer_after(shifted)
    if layer is None:
        return None
    if not feeds_only(shifted, layer.node):
        return Declined("the shifted value is an output of the graph or is read elsewhere too")
    try:
        shift = require_per_channel(addend, value, layer.channel_axis, layer.inputs)
        layer.transform_input(np.ones(layer.inputs), shift)
    except NotExactError as reason:
        return Declined(str(reason))
    Edit(node).replace(value)
    return FIRED


RULE = Rule("shift_into_next", ("Add", "Sub"), _rewrite)
