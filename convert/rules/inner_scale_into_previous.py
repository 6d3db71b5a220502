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

from convert.graph.affine import match_scale, require_per_channel
from convert.graph.commuting import is_absorbed
from convert.graph.edit import Edit
from convert.graph.layers import find_layer_before
from convert.graph.linear import NotExactError
from convert.graph.nodes import get_constant, get_only_consumer, get_scalar, is_representable
from convert.graph.rule import FIRED, Declined, Outcome, Rule
from convert.model_io.array import Array

# Operators that read s · x: a scale does not pass them, so the rule does not fire again.
_BENT = ("Sin", "Cos", "Tanh", "Sigmoid", "Exp", "Erf", "Gelu", "Softplus", "Elu", "Clip")


@dataclass(frozen=True, slots=True)
class _Reading:
    """x, the Min of Min(x, 0) · s where there is one, and the other readers of x."""

    value: ir.Value
    clipped: ir.Node | None
    others: Sequence[ir.Node]


def _rewrite(node: ir.Node) -> Outcome:
    scaled = match_scale(node)
    reading = _match_reading(node, scaled[0]) if scaled is not None else None
    if scaled is None or reading is None:
        return None
    layer, factor = find_layer_before(reading.value), scaled[1]
    if layer is None:
        return None
    if not factor.all() or (reading.clipped is not None and not (factor > 0).all()):
        return Declined("the scale is 0, or below it before a bound, in a channel")
    if not all(_takes_reciprocal(other, reading.value, factor) for other in reading.others):
        return None
    try:
        _require_reciprocal(factor, reading.value)
        scale = require_per_channel(factor, reading.value, layer.channel_axis, layer.outputs)
        layer.transform_output(scale, np.zeros(layer.outputs))
    except NotExactError as reason:
        return Declined(str(reason))
    _rescale(node, reading, 1 / factor)
    return FIRED


def _require_reciprocal(factor: Array, value: ir.Value) -> None:
    if value.dtype is None or not is_representable(1 / factor, value.dtype.numpy()):
        raise NotExactError(f"the reciprocal of the scale leaves the range of {value.dtype}")


def _match_reading(node: ir.Node, source: ir.Value) -> _Reading | None:
    """The readers of x, where f(s · x) and one other place, besides scales, are all of them."""
    reader = get_only_consumer(node.outputs[0])
    if reader is None or reader.op_type not in _BENT or reader.domain:
        return None
    clipped = source.producer()
    if clipped is not None and clipped.op_type == "Min" and get_only_consumer(source) is node:
        value = next((x for x in clipped.inputs if x is not None and get_constant(x) is None), None)
        bounds = [get_scalar(bound, beside=value) for bound in clipped.inputs if bound is not value]
        if value is None or bounds != [0.0]:
            return None
        first: ir.Node | None = clipped
    else:
        value, first, clipped = source, node, None
    uses = [use.node for use in value.uses() if use.node is not first]
    others = [use for use in uses if match_scale(use) is None]
    if value.is_graph_output() or len(others) > 1 or not uses:
        return None
    return _Reading(value, clipped, uses)


def _takes_reciprocal(reader: ir.Node, value: ir.Value, factor: Array) -> bool:
    """True where 1 / s before this reader costs no operator, or one that the sum behind it may absorb."""
    if match_scale(reader) is not None or reader.op_type in ("Add", "Sub"):
        return True
    if reader.op_type == "Relu":
        following = get_only_consumer(reader.outputs[0])
        return (
            bool((factor > 0).all()) and following is not None and following.op_type in ("Add", "Sub", "Mul")
        )
    is_square = sum(operand is value for operand in reader.inputs) > 1
    return reader.op_type == "Mul" and not is_square and is_absorbed(reader.outputs[0], 1 / factor)


def _rescale(node: ir.Node, reading: _Reading, reciprocal: Array) -> None:
    value = reading.value
    assert value.dtype is not None
    dtype = value.dtype.numpy()
    for other in dict.fromkeys(reading.others):
        edit = Edit(other)
        number = edit.constant(reciprocal, dtype, "scale")
        for place, operand in enumerate(other.inputs):
            if operand is value:
                rescaled = edit.op("Mul", value, number)
                rescaled.shape = value.shape
                other.replace_input_with(place, rescaled)
    Edit(node).replace(reading.clipped.outputs[0] if reading.clipped is not None else value)


RULE = Rule("inner_scale_into_previous", ("Mul", "Div"), _rewrite, changes_inputs=True)
