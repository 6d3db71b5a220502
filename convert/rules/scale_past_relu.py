"""Relu(x · s) -> Relu(x) · s for s > 0, and the same with LeakyRelu, so that the scale meets the next layer.

Exact: both are straight on either side of 0, and a scale above 0 moves no number to the other side.
Declined for a scale that is 0 or below it in a channel.
"""

import onnx_ir as ir

from convert.rewriting.affine import scale_of
from convert.rewriting.commuting import RAMPS, scale_after
from convert.rewriting.graph import Edit, only_consumer
from convert.rewriting.linear import NotExactError
from convert.rewriting.rule import FIRED, Declined, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    found = scale_of(node)
    consumer = only_consumer(node.outputs[0])
    if found is None or consumer is None or consumer.domain or consumer.op_type not in RAMPS:
        return None
    value, factor = found
    if node.outputs[0].dtype is None:
        return Declined("the type of the scaled value is not known")
    try:
        passed = scale_after(consumer, factor)
    except NotExactError as reason:
        return Declined(str(reason))
    edit = Edit(consumer)
    number = edit.constant(passed, node.outputs[0].dtype.numpy(), "scale")
    edit.replace(edit.op("Mul", edit.again(value), number))
    return FIRED


RULE = Rule("scale_past_relu", ("Mul", "Div"), _rewrite)
