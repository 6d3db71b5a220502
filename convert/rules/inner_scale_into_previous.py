"""With x from a linear layer that reads s · x in f(s · x) and x itself at one other place -> x' = s · x.

The layer computes x' and the other place reads x' · (1 / s), which then meets the scales around it: Snake,
x + sin²(a · x) / a, becomes (x' + sin²(x')) / a, and the layer after takes 1 / a over. Exact up to rounding:
the layer's weights, 1 / s and what it meets are each rounded once. For s > 0 the same holds of Min(x, 0) · s.
Declined where s is 0 in a channel, or the weights are not constant.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from convert.graph.affine import per_channel, scale_of
from convert.graph.commuting import absorbed
from convert.graph.layers import layer_before
from convert.graph.layout import blocked
from convert.graph.linear import NotExactError
from convert.graph.nodes import Array, Edit, constant, only_consumer, representable, scalar
from convert.graph.rule import FIRED, Declined, Outcome, Rule

# What reads s · x for good: a scale does not pass these, so this rule does not meet it again.
_BENT = ("Sin", "Cos", "Tanh", "Sigmoid", "Exp", "Erf", "Gelu", "Softplus", "Elu", "Clip")


@dataclass(frozen=True, slots=True)
class _Reading:
    """x, whether the scaled value is Min(x, 0) · s, and what else reads x."""

    value: ir.Value
    clipped: ir.Node | None
    others: Sequence[ir.Node]


def _rewrite(node: ir.Node) -> Outcome:
    found = scale_of(node)
    reading = _reading(node, found[0]) if found is not None else None
    if found is None or reading is None:
        return None
    layer, factor = layer_before(reading.value), found[1]
    if layer is None:
        return None
    if not factor.all() or (reading.clipped is not None and not (factor > 0).all()):
        return Declined("the scale is 0, or below it before a bound, in a channel")
    if not all(_takes(other, reading.value, factor) for other in reading.others):
        return None
    try:
        _require_reciprocal(factor, reading.value)
        scale = per_channel(factor, reading.value, layer.channel_axis, layer.outputs)
        layer.transform_output(scale, np.zeros(layer.outputs))
    except NotExactError as reason:
        return Declined(str(reason))
    _rescale(node, reading, 1 / factor)
    return FIRED


def _require_reciprocal(factor: Array, value: ir.Value) -> None:
    if value.dtype is None or not representable(1 / factor, value.dtype.numpy()):
        raise NotExactError(f"the reciprocal of the scale leaves the range of {value.dtype}")


def _reading(node: ir.Node, source: ir.Value) -> _Reading | None:
    """How x is read, where f(s · x) and one other place, scales aside, are all of it."""
    reader = only_consumer(node.outputs[0])
    if reader is None or reader.op_type not in _BENT or reader.domain:
        return None
    clipped = source.producer()
    if clipped is not None and clipped.op_type == "Min" and only_consumer(source) is node:
        value = next((x for x in clipped.inputs if x is not None and constant(x) is None), None)
        bounds = [scalar(bound, beside=value) for bound in clipped.inputs if bound is not value]
        if value is None or bounds != [0.0]:
            return None
        first: ir.Node | None = clipped
    else:
        value, first, clipped = source, node, None
    uses = [use.node for use in value.uses() if use.node is not first]
    others = [use for use in uses if scale_of(use) is None]
    if value.is_graph_output() or len(others) > 1 or not uses:
        return None
    if _is_steepness(node, value) and blocked(value):
        return None
    return _Reading(value, clipped, uses)


def _is_steepness(node: ir.Node, value: ir.Value) -> bool:
    """True for s of x · Sigmoid(s · x), one operator to ONNX Runtime where s is one number."""
    gate = only_consumer(node.outputs[0])
    product = only_consumer(gate.outputs[0]) if gate is not None and gate.op_type == "Sigmoid" else None
    single = [array.size == 1 for each in node.inputs if (array := constant(each)) is not None]
    return all(single) and product is not None and product.op_type == "Mul" and value in product.inputs


def _takes(reader: ir.Node, value: ir.Value, factor: Array) -> bool:
    """True where 1 / s in front of this reader costs no operator, or one that the sum after it may lose."""
    if scale_of(reader) is not None or reader.op_type in ("Add", "Sub"):
        return True
    if reader.op_type == "Relu":
        following = only_consumer(reader.outputs[0])
        return (
            bool((factor > 0).all()) and following is not None and following.op_type in ("Add", "Sub", "Mul")
        )
    twice = sum(each is value for each in reader.inputs) > 1
    return reader.op_type == "Mul" and not twice and absorbed(reader.outputs[0], 1 / factor)


def _rescale(node: ir.Node, reading: _Reading, reciprocal: Array) -> None:
    value = reading.value
    assert value.dtype is not None
    dtype = value.dtype.numpy()
    for other in dict.fromkeys(reading.others):
        edit = Edit(other)
        number = edit.constant(reciprocal, dtype, "scale")
        for place, each in enumerate(other.inputs):
            if each is value:
                rescaled = edit.op("Mul", value, number)
                rescaled.shape = value.shape
                other.replace_input_with(place, rescaled)
    Edit(node).replace(reading.clipped.outputs[0] if reading.clipped is not None else value)


RULE = Rule("inner_scale_into_previous", ("Mul", "Div"), _rewrite)
