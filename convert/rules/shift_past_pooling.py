"""MaxPool(x + t) -> MaxPool(x) + t, so that the shift meets the next layer, and fewer numbers, on its way.

Also AveragePool, GlobalAveragePool, GlobalMaxPool, ReduceMean, Flatten, Reshape, Squeeze, Unsqueeze,
Transpose, Dropout.

Exact: a maximum or an average of shifted numbers is shifted as they are; padding takes no part in a
maximum, nor in an average that does not count it. Declined where an average counts the zeros of its padding,
and where the channels of a shift per channel cannot be followed to another place.
"""

import onnx_ir as ir

from convert.graph.affine import match_shift
from convert.graph.commuting import POOLS, Commutation, move_shift_past
from convert.graph.layers import find_layer_before
from convert.graph.rule import Outcome, Rule

_COMMUTATION = Commutation("Add", "shift", POOLS, move_shift_past)


def _rewrite(node: ir.Node) -> Outcome:
    if find_layer_before(node.outputs[0]) is not None:
        return None  # the bias of a MatMul belongs to it
    return _COMMUTATION.move(node, match_shift(node))


RULE = Rule("shift_past_pooling", ("Add", "Sub"), _rewrite)
