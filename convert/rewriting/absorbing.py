"""Where a scale would vanish: in a linear layer, or in another scale, past whatever a scale passes."""

import onnx_ir as ir

from convert.rewriting.affine import scale_of
from convert.rewriting.blend import sum_around
from convert.rewriting.commuting import POOLS, RAMPS, scale_after
from convert.rewriting.graph import Array, constant, only_consumer, same_shape
from convert.rewriting.layers import layer_reading
from convert.rewriting.linear import NotExactError


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
