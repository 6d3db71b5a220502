"""a · (f(x) + t) + b · g(x) -> a · f(x) + b · g(x), with a · t in the bias of the layer that reads the sum.

Exact up to rounding, where every output of that layer sees every input shifted, also past pooling; the bias
is worked out in float64. That saves a pass over the sum. `shift_into_next` takes a shift that stands last.
Declined before padding, where the sum is read elsewhere too, and for a shift larger than the largest
coefficient: without the shift the sum may be much larger, and would lose digits until the bias is added.
"""

from dataclasses import replace

import numpy as np
import onnx_ir as ir

from convert.graph.affine import match_shift, require_per_channel
from convert.graph.blend import ZERO, Blend, match_blend, write_blend
from convert.graph.commuting import POOLS, move_shift_past
from convert.graph.edit import Edit
from convert.graph.layers import find_layer_after
from convert.graph.linear import NotExactError
from convert.graph.nodes import feeds_only, get_only_consumer
from convert.graph.rule import FIRED, Declined, Outcome, Rule
from convert.model_io.array import Array

LARGEST_SHIFT = 1.0


def _rewrite(node: ir.Node) -> Outcome:
    blend = match_blend(node)
    if blend is None or not blend.shift.any() or match_shift(node) is not None:
        return None
    try:
        passed = _pass_pools(node.outputs[0], blend.shift)
        if passed is None:
            return None
        value, shift = passed
        layer = find_layer_after(value)
        if layer is None:
            return None
        _require_movable(blend)
        if not feeds_only(value, layer.node):
            raise NotExactError("the sum is an output of the graph or is read elsewhere too")
        layer.transform_input(
            np.ones(layer.inputs), require_per_channel(shift, value, layer.channel_axis, layer.inputs)
        )
    except NotExactError as reason:
        return Declined(str(reason))
    edit = Edit(node)
    edit.replace(write_blend(replace(blend, shift=ZERO, shifts=0), edit))
    return FIRED


def _pass_pools(value: ir.Value, shift: Array) -> tuple[ir.Value, Array] | None:
    """The value and its shift behind the pools that alone read it."""
    while (reader := get_only_consumer(value)) is not None and not reader.domain and reader.op_type in POOLS:
        if reader.inputs[0] is not value:
            return None
        value, shift = reader.outputs[0], move_shift_past(reader, shift)
    return value, shift


def _require_movable(blend: Blend) -> None:
    largest = max(float(np.abs(term.coefficient).max()) for term in blend.terms)
    if np.abs(blend.shift).max() > LARGEST_SHIFT * largest:
        raise NotExactError(
            "the shift is large beside the sum, whose digits would be lost until it is applied"
        )
    dtype = blend.node.outputs[0].dtype
    if dtype is None or not blend.fits_in(dtype.numpy()):
        raise NotExactError(f"a coefficient leaves the range of {dtype}")


RULE = Rule("shift_out_of_blend", ("Add", "Sub"), _rewrite)
