"""Relu(x · s) -> Relu(x) · s for s > 0, and the same with LeakyRelu, so that the scale meets the next layer.

Exact: both are straight on either side of 0, and a scale above 0 moves no number to the other side.
Declined for a scale that is 0 or below it in a channel.
"""

import onnx_ir as ir

from convert.graph.affine import match_scale
from convert.graph.commuting import RAMPS, Commutation, move_scale_past
from convert.graph.rule import Outcome, Rule

_COMMUTATION = Commutation("Mul", "scale", RAMPS, move_scale_past)


def _rewrite(node: ir.Node) -> Outcome:
    return _COMMUTATION.move(node, match_scale(node))


RULE = Rule("scale_past_relu", ("Mul", "Div"), _rewrite)
