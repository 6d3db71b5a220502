"""Sigmoid(u) -> 1 / (1 + Exp(−u)), where it sets how steep another curve is: f(Sigmoid(u) · x).

Exact: it is the definition of Sigmoid; where Exp(−u) overflows, both are 0. ONNX Runtime's Sigmoid is right
to about 6e-8, not to so many digits: for u = −15 it is off by a sixth, and it ends at 0 for u below −18. A
gate does no harm by that. But a large x lifts the digits that are missing, and the curve takes them for its
argument: six convolutions with Meta-ACON, of inputs near 10⁴, were off by 29 times what float32 costs. Exp
keeps them all.
"""

import onnx_ir as ir

from convert.graph.nodes import Edit
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
