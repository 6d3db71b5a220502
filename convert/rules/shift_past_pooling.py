"""MaxPool(x + t) -> MaxPool(x) + t, so that the shift meets the next layer, and fewer numbers, on its way.

Also AveragePool, GlobalAveragePool, GlobalMaxPool, ReduceMean, Flatten, Reshape, Squeeze, Unsqueeze,
Transpose, Dropout.

Exact: a maximum or an average of shifted numbers is shifted as they are; padding takes no part in a
maximum, nor in an average that does not count it. Declined where an average counts the zeros of its padding,
and where the channels of a shift per channel cannot be followed to another place.
"""

import onnx_ir as ir

from convert.rewriting.affine import shift_of
from convert.rewriting.commuting import POOLS, shift_after
from convert.rewriting.graph import Edit, only_consumer
from convert.rewriting.layers import layer_before
from convert.rewriting.linear import NotExactError
from convert.rewriting.rule import FIRED, Declined, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    found, shifted = shift_of(node), node.outputs[0]
    consumer = only_consumer(shifted)
    if found is None or consumer is None or consumer.domain or consumer.op_type not in POOLS:
        return None
    if layer_before(shifted) is not None:
        return None  # the bias of a MatMul belongs to it
    value, addend = found
    if shifted.dtype is None or consumer.inputs[0] is not shifted:
        return Declined("the type of the shifted value is not known")
    try:
        passed = shift_after(consumer, addend)
    except NotExactError as reason:
        return Declined(str(reason))
    edit = Edit(consumer)
    number = edit.constant(passed, shifted.dtype.numpy(), "shift")
    edit.replace(edit.op("Add", edit.again(value, *consumer.inputs[1:]), number))
    return FIRED


RULE = Rule("shift_past_pooling", ("Add", "Sub"), _rewrite)
