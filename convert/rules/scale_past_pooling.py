"""MaxPool(x · s) -> MaxPool(x) · s, so that the scale meets the next layer, and fewer numbers, on its way.

Also AveragePool, GlobalAveragePool, GlobalMaxPool, ReduceMean, Flatten, Reshape, Squeeze, Unsqueeze,
Transpose, Dropout.

Exact: an average scales with what it averages; a maximum does so for s > 0 only (for s < 0 it would
become a minimum); moving numbers about does not change them. Declined otherwise, and where the channels of a
scale per channel cannot be followed to another place.
"""

import onnx_ir as ir

from convert.graph.affine import match_scale
from convert.graph.commuting import POOLS, Commutation, move_scale_past
from convert.graph.rule import Outcome, Rule

_COMMUTATION = Commutation("Mul", "scale", POOLS, move_scale_past)


def _rewrite(node: ir.Node) -> Outcome:
    return _COMMUTATION.move(node, match_scale(node))


RULE = Rule("scale_past_pooling", ("Mul", "Div", "Neg"), _rewrite)
