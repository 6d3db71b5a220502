"""LeakyRelu<a>(x) -> (1 − a) · Relu(x) + a · x, for an image whose LeakyRelu no convolution takes over.

Exact up to rounding, as for PRelu. ONNX Runtime computes it in the blocked layout of a convolution (1.01 of a
ReLU network's time), and leaves that layout for a LeakyRelu (1.04), except one that alone reads a
convolution, which becomes a part of it and stays. Declined where 1 − a and a cancel each other's digits.
"""

import numpy as np
import onnx_ir as ir

from convert.graph.edit import Edit
from convert.graph.layout import is_between_blocked, is_blocked
from convert.graph.nodes import get_attribute
from convert.graph.rule import FIRED, Declined, Outcome, Rule
from convert.rules.prelu_to_relu import LARGEST_SLOPE, write_prelu


def _rewrite(node: ir.Node) -> Outcome:
    value, slope = node.inputs[0], get_attribute(node, "alpha", 0.01)
    if (
        value is None
        or value.dtype is None
        or is_blocked(node.outputs[0])
        or not is_between_blocked(node, value)
    ):
        return None
    if abs(slope) > LARGEST_SLOPE:
        return Declined(f"a slope beyond {LARGEST_SLOPE:g} would cancel digits")
    edit = Edit(node)
    edit.replace(write_prelu(edit, value, np.asarray(slope), value.dtype.numpy()))
    return FIRED


RULE = Rule("leakyrelu_to_relu", ("LeakyRelu",), _rewrite)
