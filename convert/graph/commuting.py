"""Operators that commute with a scale or a shift, and whether a layer behind them absorbs it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from convert.graph.affine import match_scale
from convert.graph.blend import find_enclosing_blend
from convert.graph.edit import Edit
from convert.graph.layers import find_layer_after
from convert.graph.linear import NotExactError
from convert.graph.nodes import get_attribute, get_constant, get_only_consumer, get_rank, has_same_shape
from convert.graph.rule import FIRED, Declined, Outcome
from convert.model_io.array import Array

_MAXIMA = ("MaxPool", "GlobalMaxPool")
_AVERAGES = ("AveragePool", "GlobalAveragePool")
_MOVES = ("Flatten", "Reshape", "Squeeze", "Unsqueeze")
_IDENTITIES = ("Identity", "Dropout")
POOLS = (*_MAXIMA, *_AVERAGES, "ReduceMean", *_MOVES, "Transpose", *_IDENTITIES)
RAMPS = ("Relu", "LeakyRelu")


def move_scale_past(node: ir.Node, factor: Array) -> Array:
    """The factor after the operator that equals `factor` before it. NotExactError where there is none."""
    if node.op_type in (*_MAXIMA, *RAMPS) and not (factor > 0).all():
        raise NotExactError(f"`{node.op_type}` commutes with a scale above 0 only")
    return _lay_out(node, factor)


def move_shift_past(node: ir.Node, addend: Array) -> Array:
    """The addend after the operator that equals `addend` before it. NotExactError where there is none."""
    if node.op_type in RAMPS:
        raise NotExactError(f"`{node.op_type}` bends at 0, which a shift would move")
    padded = any(node.attributes.get_ints("pads", ())) or node.attributes.get_string("auto_pad", "") != ""
    if node.op_type == "AveragePool" and padded and get_attribute(node, "count_include_pad", 0):
        raise NotExactError("a padded `AveragePool` counts zeros that are not shifted")
    return _lay_out(node, addend)


def _lay_out(node: ir.Node, array: Array) -> Array:
    """The constant in the layout that the operator gives to the channels."""
    if any(bool(list(value.uses())) or value.is_graph_output() for value in node.outputs[1:]):
        raise NotExactError(f"`{node.op_type}` also gives other results than its values")
    if array.size == 1:
        return array.reshape(())
    if node.op_type in _MOVES:
        return _flatten(node, array)
    if node.op_type in (*_MAXIMA, *_AVERAGES) and not _is_per_channel(node, array):
        raise NotExactError(f"`{node.op_type}` joins numbers to which different ones of the constant belong")
    if node.op_type == "Transpose":
        axes = get_rank(node.outputs[0])
        order = node.attributes.get_ints("perm", tuple(reversed(range(axes or 0))))
        return _align(array, len(order)).transpose(order)
    if node.op_type == "ReduceMean" and not _leaves_channels(node, array):
        raise NotExactError(
            "`ReduceMean` averages over the channels that the scale belongs to, or drops the axes beside them"
        )
    return array


def _is_per_channel(pool: ir.Node, array: Array) -> bool:
    """True where the numbers differ along axis 1 alone, which a pool leaves as it is."""
    axes = get_rank(pool.outputs[0])
    return axes is not None and 1 < axes >= array.ndim and _align(array, axes).shape[1] == array.size


def _align(array: Array, axes: int) -> Array:
    return array.reshape((1,) * (axes - array.ndim) + array.shape)


def _flatten(node: ir.Node, array: Array) -> Array:
    """The constant of [N, C, ...] for rows [N, C · ...]."""
    before, after = (
        value.shape if value is not None else None for value in (node.inputs[0], node.outputs[0])
    )
    lost = NotExactError(f"`{node.op_type}` moves the channels that the scale belongs to")
    if before is None or after is None or len(after) != 2 or before[0] != after[0]:
        raise lost
    if array.ndim > len(before):
        raise lost
    sizes = [size for size in before[1:] if isinstance(size, int)]
    aligned = _align(array, len(before))
    if len(sizes) < len(before) - 1 or after[1] != int(np.prod(sizes)) or aligned.shape[0] != 1:
        raise lost
    return np.broadcast_to(aligned[0], sizes).reshape(-1)


def _read_axes(reduce: ir.Node) -> Array | None:
    """The averaged axes, an attribute in opsets below 18; None where they are not stated."""
    axes = reduce.attributes.get_ints("axes", ())
    if axes:
        return np.array(axes)
    return get_constant(reduce.inputs[1]) if len(reduce.inputs) > 1 else None


def _leaves_channels(reduce: ir.Node, array: Array) -> bool:
    """True where the numbers do not differ along any averaged axis, and the rank stays."""
    axes = _read_axes(reduce)
    rank_before = get_rank(reduce.outputs[0])
    if axes is None or rank_before is None or not get_attribute(reduce, "keepdims", 1):
        return False
    return all(_align(array, rank_before).shape[int(axis)] == 1 for axis in axes.reshape(-1))


@dataclass(frozen=True, slots=True)
class Commutation:
    """The operator that applies a constant, the operators that it passes, and the constant behind them."""

    operator: str
    role: str
    passes: Sequence[str]
    after: Callable[[ir.Node, Array], Array]

    def move(self, node: ir.Node, operands: tuple[ir.Value, Array] | None) -> Outcome:
        """Moves the constant past the only reader; `operands` is (x, the constant) of `node`, or None."""
        before = node.outputs[0]
        consumer = get_only_consumer(before)
        if operands is None or consumer is None or consumer.domain or consumer.op_type not in self.passes:
            return None
        value, numbers = operands
        if before.dtype is None or consumer.inputs[0] is not before:
            return Declined(f"the type of what has the {self.role} is not known")
        try:
            passed = self.after(consumer, numbers)
        except NotExactError as reason:
            return Declined(str(reason))
        edit = Edit(consumer)
        number = edit.constant(passed, before.dtype.numpy(), self.role)
        edit.replace(edit.op(self.operator, edit.reapply(value, *consumer.inputs[1:]), number))
        return FIRED


def is_absorbed(value: ir.Value, factor: Array) -> bool:
    """True where the only reader of `value`, or a node behind it, would absorb a scale of it.

    A scale passes products with another value, and sums of which every other term has a scale of its own.
    """
    while (
        (reader := get_only_consumer(value)) is not None and not reader.domain and match_scale(reader) is None
    ):
        if reader.op_type in (*POOLS, *RAMPS) and reader.inputs[0] is value:
            try:
                factor = move_scale_past(reader, factor)
            except NotExactError:
                return False
            value = reader.outputs[0]
        elif (passed := _pass_product(value, reader) or _pass_sum(value, reader)) is not None:
            value = passed
        else:
            return _is_read_by_linear_layer(value)
    return reader is not None and not reader.domain


def _pass_product(value: ir.Value, reader: ir.Node) -> ir.Value | None:
    """The product of the value with another of the same shape."""
    if reader.op_type != "Mul":
        return None
    other = next((operand for operand in reader.inputs if operand is not value), None)
    is_passed = has_same_shape(other, value) and get_constant(other) is None
    return reader.outputs[0] if is_passed else None


def _pass_sum(value: ir.Value, reader: ir.Node) -> ir.Value | None:
    """The sum of the value, unscaled, and scaled terms."""
    source = value.producer()
    blend = find_enclosing_blend(source) if source is not None and reader.op_type in ("Add", "Sub") else None
    if blend is None or any(term.is_plain for term in blend.terms if term.value is not value):
        return None
    return blend.node.outputs[0] if len(blend.terms) > 1 else None


def _is_read_by_linear_layer(value: ir.Value) -> bool:
    layer = find_layer_after(value)
    try:
        return layer is not None and layer.inputs > 0
    except NotExactError:
        return False
