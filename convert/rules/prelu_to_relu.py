"""PRelu(x, s) -> (1 − s) · Relu(x) + s · x, for slopes that differ between channels.

Exact up to rounding: for x < 0 it is s · x, for x >= 0 it is x within half a unit in the last place of both
terms; measured at most 1.5e-7 · |x| for s in [−1, 2], and 0 at s = 0.25. Inf stays Inf for slopes between 0
and 1 and becomes NaN for others, as do the very largest numbers (above 1.7e38 for s = 2). It stays in the
blocked layout of a convolution: 1.04 of a ReLU network's time, where PRelu takes 1.4, and
Relu(x) + s · Min(x, 0), which would keep Inf, 1.08 to 1.17. Declined where the slope is not constant, or so
large that 1 − s and s cancel each other's digits.
"""

import numpy as np
import onnx_ir as ir

from convert.graph.edit import Edit
from convert.graph.nodes import get_constant
from convert.graph.rule import FIRED, Declined, Outcome, Rule
from convert.model_io.array import Array

# Rounding (1 − s) and s to float32 costs |s| · 6e-8 of x; beyond this PRelu, slower, is the more exact one.
LARGEST_SLOPE = 8.0


def _rewrite(node: ir.Node) -> Outcome:
    value, slope = node.inputs[0], get_constant(node.inputs[1])
    if slope is None or value is None:
        return Declined("the slope is not constant")
    if not (np.abs(slope) <= LARGEST_SLOPE).all():
        return Declined(f"a slope beyond {LARGEST_SLOPE:g} would cancel digits")
    edit = Edit(node)
    edit.replace(write_prelu(edit, value, slope.astype(np.float64), slope.dtype))
    return FIRED


def write_prelu(edit: Edit, value: ir.Value, slope: Array, dtype: np.dtype[np.generic]) -> ir.Value:
    """(1 − slope) · Relu(value) + slope · value, of slopes in float64."""
    right = edit.op("Mul", edit.op("Relu", value), edit.constant(1 - slope, dtype, "right"))
    left = edit.op("Mul", value, edit.constant(slope, dtype, "left"))
    return edit.op("Add", right, left)


RULE = Rule("prelu_to_relu", ("PRelu",), _rewrite)
