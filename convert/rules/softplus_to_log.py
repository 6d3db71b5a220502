"""Softplus(x) = log(1 + eˣ) -> Relu(x) − Log(Sigmoid(|x|)).

Exact up to the rounding of Sigmoid, 6e-8: for x >= 0, log(1 + eˣ) = x + log(1 + e⁻ˣ) = x − log(1 / (1 +
e⁻ˣ)). Nothing overflows, as Sigmoid(|x|) lies between a half and 1; measured at most 1.7e-7 of max(1, y),
where Softplus itself has 1.4e-7. ONNX Runtime's Softplus is not vectorised: 2.1 times a ReLU network's time
after a convolution, this form 1.25, and Relu(x) + Log(1 + Exp(−|x|)) 1.38. On rows Softplus takes 1.44 of a
ReLU network's time at batch 1 and 3.6 at 32, this form 1.20 and 1.51.
"""

import onnx_ir as ir

from convert.graph.edit import Edit
from convert.graph.rule import FIRED, Declined, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    value = node.inputs[0]
    if value is None or value.dtype is None:
        return Declined("the type of the input is not known")
    edit = Edit(node)
    gate = edit.op("Log", edit.op("Sigmoid", edit.op("Abs", value)))
    edit.replace(edit.op("Sub", edit.op("Relu", value), gate))
    return FIRED


RULE = Rule("softplus_to_log", ("Softplus",), _rewrite)
