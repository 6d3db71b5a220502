"""MaxPool(x · s) -> MaxPool(x) · s, so that the scale meets the next layer, and fewer numbers, on its way.

Also AveragePool, GlobalAveragePool, GlobalMaxPool, ReduceMean, Flatten, Reshape, Squeeze, Unsqueeze,
Transpose, Dropout.

Exact: an average scales with what it averages; a maximum does so for s > 0 only (for s < 0 it would
become a minimum); moving numbers about does not change them. Declined otherwise, and where the channels of a
scale per channel cannot be followed to another place.
"""

import onnx_ir as ir

from convert.rewriting.affine import scale_of
from convert.rewriting.commuting import POOLS, scale_after
from convert.rewriting.graph import Edit, only_consumer
from convert.rewriting.linear import NotExactError
from convert.rewriting.rule import FIRED, Declined, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    found, scaled = scale_of(node), node.outputs[0]
    consumer = only_consumer(scaled)
    if found is None or consumer is None or consumer.domain or consumer.op_type not in POOLS:
        return None
    value, factor = found
    if scaled.dtype is None or consumer.inputs[0] is not scaled:
        return Declined("the type of the scaled value is not known")
    try:
        passed = scale_after(consumer, factor)
    except NotExactError as reason:
        return Declined(str(reason))
    edit = Edit(consumer)
    number = edit.constant(passed, scaled.dtype.numpy(), "scale")
    edit.replace(edit.op("Mul", edit.again(value, *consumer.inputs[1:]), number))
    return FIRED


RULE = Rule("scale_past_pooling", ("Mul", "Div", "Neg"), _rewrite)
