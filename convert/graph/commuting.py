"""Operators that a scale or a shift may pass, and the layers in which it then vanishes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from convert.graph.affine import scale_of
from convert.graph.blend import sum_around
from convert.graph.layers import layer_reading
from convert.graph.linear import NotExactError
from convert.graph.nodes import Array, Edit, attribute, constant, only_consumer, rank, same_shape
from convert.graph.rule import FIRED, Declined, Outcome

_MAXIMA = ("MaxPool", "GlobalMaxPool")
_AVERAGES = ("AveragePool", "GlobalAveragePool")
_MOVES = ("Flatten", "Reshape", "Squeeze", "Unsqueeze")
_NAMES = ("Identity", "Dropout")
_RAMPS = ("Relu", "LeakyRelu")
POOLS = (*_MAXIMA, *_AVERAGES, "ReduceMean", *_MOVES, "Transpose", *_NAMES)
RAMPS = _RAMPS


def scale_after(node: ir.Node, factor: Array) -> Array:
    """The factor that stands after the operator for one before it. NotExactError where there is none."""
    if node.op_type in (*_MAXIMA, *_RAMPS) and not (factor > 0).all():
        raise NotExactError(f"`{node.op_type}` commutes with a scale above 0 only")
    return _moved(node, factor)


def shift_after(node: ir.Node, addend: Array) -> Array:
    """The addend that stands after the operator for one before it. NotExactError where there is none."""
    if node.op_type in _RAMPS:
        raise NotExactError(f"`{node.op_type}` bends at 0, which a shift would move")
    padded = any(node.attributes.get_ints("pads", ())) or node.attributes.get_string("auto_pad", "") != ""
    if node.op_type == "AveragePool" and padded and attribute(node, "count_include_pad", 0):
        raise NotExactError("a padded `AveragePool` counts zeros that are not shifted")
    return _moved(node, addend)


def _moved(node: ir.Node, array: Array) -> Array:
    """The constant, laid out as the operator lays out the channels that its numbers belong to."""
    if sum(bool(list(value.uses())) or value.is_graph_output() for value in node.outputs) > 1:
        raise NotExactError(f"`{node.op_type}` also gives other results than its values")
    if array.size == 1:
        return array.reshape(())
    if node.op_type in _MOVES:
        return _flattened(node, array)
    if node.op_type == "Transpose":
        axes = rank(node.outputs[0])
        order = node.attributes.get_ints("perm", tuple(reversed(range(axes or 0))))
        return _aligned(array, len(order)).transpose(order)
    if node.op_type == "ReduceMean" and not _leaves_channels(node, array):
        raise NotExactError(
            "`ReduceMean` averages over the channels that the scale belongs to, or drops the axes beside them"
        )
    return array


def _aligned(array: Array, axes: int) -> Array:
    return array.reshape((1,) * (axes - array.ndim) + array.shape)


def _flattened(node: ir.Node, array: Array) -> Array:
    """The constant of [N, C, ...] for the rows [N, C · ...] that its numbers become."""
    before, after = (
        value.shape if value is not None else None for value in (node.inputs[0], node.outputs[0])
    )
    lost = NotExactError(f"`{node.op_type}` moves the channels that the scale belongs to")
    if (
        before is None
        or after is None
        or len(after) != 2
        or before[0] != after[0]
        or array.ndim > len(before)
    ):
        raise lost
    sizes = [size for size in before[1:] if isinstance(size, int)]
    aligned = _aligned(array, len(before))
    if len(sizes) < len(before) - 1 or after[1] != int(np.prod(sizes)) or aligned.shape[0] != 1:
        raise lost
    return np.broadcast_to(aligned[0], sizes).reshape(-1)


def _axes(reduce: ir.Node) -> Array | None:
    """The averaged axes, which opsets below 18 give as an attribute; None where they are not said."""
    said = reduce.attributes.get_ints("axes", ())
    if said:
        return np.array(said)
    return constant(reduce.inputs[1]) if len(reduce.inputs) > 1 else None


def _leaves_channels(reduce: ir.Node, array: Array) -> bool:
    """True where every averaged axis is one along which the numbers do not differ, and the rank stays."""
    axes = _axes(reduce)
    rank_before = rank(reduce.outputs[0])
    if axes is None or rank_before is None or not attribute(reduce, "keepdims", 1):
        return False
    return all(_aligned(array, rank_before).shape[int(axis)] == 1 for axis in axes.reshape(-1))


@dataclass(frozen=True, slots=True)
class Passing:
    """How a constant passes: by which operator it is applied, what it passes, and what it is afterwards."""

    operator: str
    role: str
    passes: Sequence[str]
    after: Callable[[ir.Node, Array], Array]

    def move(self, node: ir.Node, found: tuple[ir.Value, Array] | None) -> Outcome:
        """`found` is (x, the constant) of what `node` computes, None where it applies none."""
        before = node.outputs[0]
        consumer = only_consumer(before)
        if found is None or consumer is None or consumer.domain or consumer.op_type not in self.passes:
            return None
        value, numbers = found
        if before.dtype is None or consumer.inputs[0] is not before:
            return Declined(f"the type of what has the {self.role} is not known")
        try:
            passed = self.after(consumer, numbers)
        except NotExactError as reason:
            return Declined(str(reason))
        edit = Edit(consumer)
        number = edit.constant(passed, before.dtype.numpy(), self.role)
        edit.replace(edit.op(self.operator, edit.again(value, *consumer.inputs[1:]), number))
        return FIRED


def absorbed(value: ir.Value, factor: Array) -> bool:
    """True where a scale of `value` would become part of what alone reads it, or of what follows that.

    It passes products with another value, and sums of which every other term has a scale of its own.
    """
    while (reader := only_consumer(value)) is not None and not reader.domain and scale_of(reader) is None:
        if reader.op_type in (*POOLS, *RAMPS) and reader.inputs[0] is value:
            try:
                factor = scale_after(reader, factor)
            except NotExactError:
                return False
            value = reader.outputs[0]
        elif (passed := _past_product(value, reader) or _past_sum(value, reader)) is not None:
            value = passed
        else:
            return _linear(value)
    return reader is not None and not reader.domain


def _past_product(value: ir.Value, reader: ir.Node) -> ir.Value | None:
    """The product of the value with another that does not widen it."""
    if reader.op_type != "Mul":
        return None
    other = next((each for each in reader.inputs if each is not value), None)
    alike = same_shape(other, value) and constant(other) is None
    return reader.outputs[0] if alike else None


def _past_sum(value: ir.Value, reader: ir.Node) -> ir.Value | None:
    """The sum that the value is a plain term of, beside scaled ones."""
    source = value.producer()
    blend = sum_around(source) if source is not None and reader.op_type in ("Add", "Sub") else None
    if blend is None or any(term.plain for term in blend.terms if term.value is not value):
        return None
    return blend.node.outputs[0] if len(blend.terms) > 1 else None


def _linear(value: ir.Value) -> bool:
    layer = layer_reading(value)
    try:
        return layer is not None and layer.inputs > 0
    except NotExactError:
        return False
