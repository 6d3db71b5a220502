"""a · (f(x) + t) + b · g(x) -> a · f(x) + b · g(x), with a · t in the bias of the layer that reads the sum.

Exact up to rounding, where every output of that layer sees every input shifted, also past pooling; the bias
is worked out in float64. A shift within a sum is so a pass less; one that stands last is `shift_into_next`'s.
Declined before padding, where the sum is read elsewhere too, and for a shift larger than the largest
coefficient: what it takes away may be most of the sum, and until then the digits of the rest would be lost.
"""

from dataclasses import replace

import numpy as np
import onnx_ir as ir

from convert.graph.affine import per_channel, shift_of
from convert.graph.blend import NOTHING, Blend, blend_of, written
from convert.graph.commuting import POOLS, shift_after
from convert.graph.layers import layer_reading
from convert.graph.linear import NotExactError
from convert.graph.nodes import Array, Edit, only_consumer, only_feeds
from convert.graph.rule import FIRED, Declined, Outcome, Rule

LARGEST_SHIFT = 1.0


def _rewrite(node: ir.Node) -> Outcome:
    blend = blend_of(node)
    if blend is None or not blend.shift.any() or shift_of(node) is not None:
        return None
    try:
        found = _given_on(node.outputs[0], blend.shift)
        if found is None:
            return None
        value, shift = found
        layer = layer_reading(value)
        if layer is None:
            return None
        _require_movable(blend)
        if not only_feeds(value, layer.node):
            raise NotExactError("the sum is an output of the graph or is read elsewhere too")
        layer.transform_input(
            np.ones(layer.inputs), per_channel(shift, value, layer.channel_axis, layer.inputs)
        )
    except NotExactError as reason:
        return Declined(str(reason))
    edit = Edit(node)
    edit.replace(written(replace(blend, shift=NOTHING, shifts=0), edit))
    return FIRED


def _given_on(value: ir.Value, shift: Array) -> tuple[ir.Value, Array] | None:
    """The value and its shift behind the pools that alone read it."""
    while (reader := only_consumer(value)) is not None and not reader.domain and reader.op_type in POOLS:
        if reader.inputs[0] is not value:
            return None
        value, shift = reader.outputs[0], shift_after(reader, shift)
    return value, shift


def _require_movable(blend: Blend) -> None:
    largest = max(float(np.abs(term.coefficient).max()) for term in blend.terms)
    if np.abs(blend.shift).max() > LARGEST_SHIFT * largest:
        raise NotExactError(
            "the shift is large beside the sum, whose digits would be lost until it is applied"
        )
    dtype = blend.node.outputs[0].dtype
    if dtype is None or not blend.held_in(dtype.numpy()):
        raise NotExactError(f"a coefficient leaves the range of {dtype}")


RULE = Rule("shift_out_of_blend", ("Add", "Sub"), _rewrite)
