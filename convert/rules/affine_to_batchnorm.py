"""x · s + t, x + t, t − x -> BatchNormalization(x) of scale s, bias t, mean 0, variance 1 and epsilon 0.

Exact: sqrt(1 + 0) is 1, so it is s · x + t, with one rounding less or the same. It applies to images between
operators that keep the layout of a convolution: ONNX Runtime turns it into a depthwise convolution, which
stays in that layout, and leaves it for an addition of a constant (1.03 instead of 1.06 of a ReLU network's
time). An activation after it becomes a part of it.
"""

import numpy as np
import onnx_ir as ir

from convert.graph.affine import match_scale, match_shift, require_per_channel
from convert.graph.edit import Edit
from convert.graph.layout import is_between_blocked
from convert.graph.linear import NotExactError
from convert.graph.nodes import feeds_only, get_constant, is_representable
from convert.graph.rule import FIRED, Declined, Outcome, Rule
from convert.model_io.array import Array


def _rewrite(node: ir.Node) -> Outcome:
    affine = _match_affine(node)
    if affine is None or not is_between_blocked(node, affine[0]):
        return None
    value, scale, shift = affine
    channels = value.shape[1] if value.shape is not None else None
    if not isinstance(channels, int) or value.dtype is None:
        return Declined("the number of channels is not known")
    dtype = value.dtype.numpy()
    try:
        slopes, shifts = (require_per_channel(array, value, 1, channels) for array in (scale, shift))
    except NotExactError as reason:
        return Declined(str(reason))
    if not (is_representable(slopes, dtype) and is_representable(shifts, dtype)):
        return Declined(f"the scale or shift leaves the range of {dtype}")
    edit = Edit(node)
    constants = {"slope": slopes, "shift": shifts, "mean": np.zeros(channels), "variance": np.ones(channels)}
    inputs = [edit.constant(numbers, dtype, role) for role, numbers in constants.items()]
    edit.replace(edit.op("BatchNormalization", value, *inputs, epsilon=0.0))
    return FIRED


def _match_affine(node: ir.Node) -> tuple[ir.Value, Array, Array] | None:
    """(x, s, t) of s · x + t."""
    shifted = match_shift(node)
    if shifted is not None:
        value, shift = shifted
        sign = 1.0
    else:
        minuend = get_constant(node.inputs[0])
        if node.op_type != "Sub" or minuend is None or node.inputs[1] is None:
            return None
        value, shift, sign = node.inputs[1], minuend.astype(np.float64), -1.0
    scaled = match_scale(value.producer()) if feeds_only(value, node) else None
    if scaled is None:
        return value, np.full((), sign), shift
    return scaled[0], sign * scaled[1], shift


RULE = Rule("affine_to_batchnorm", ("Add", "Sub"), _rewrite)
