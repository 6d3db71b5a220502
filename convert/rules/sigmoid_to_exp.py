"""Sigmoid(u) -> 1 / (1 + Exp(−u)), where it sets how steep another curve is: f(Sigmoid(u) · x).

Exact: it is the definition of Sigmoid; where Exp(−u) overflows, both are 0. ONNX Runtime's Sigmoid is right
to about 6e-8, not to so many digits: for u = −15 it is off by a sixth, and it is 0 for u below −18. That does
no harm in a gate. But a large x scales the error up, and the curve reads it: six convolutions with Meta-ACON,
on inputs near 10⁴, were off by 29 times the error of float32. Exp keeps all digits.
"""

import onnx_ir as ir

from convert.graph.edit import Edit
from convert.graph.rule import FIRED, Declined, Outcome, Rule
from convert.graph.steepness import is_steepness


def _rewrite(node: ir.Node) -> Outcome:
    value = node.inputs[0]
    if value is None or not is_steepness(node.outputs[0], value):
        return None
    if value.dtype is None:
        return Declined("the type of the input is not known")
    edit = Edit(node)
    one = edit.constant(1.0, value.dtype.numpy(), "one")
    edit.replace(edit.op("Reciprocal", edit.op("Add", edit.op("Exp", edit.op("Neg", value)), one)))
    return FIRED


RULE = Rule("sigmoid_to_exp", ("Sigmoid",), _rewrite)
