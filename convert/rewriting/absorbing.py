"""Where a scale would vanish: in a linear layer, or in another scale, past whatever a scale passes."""

import onnx_ir as ir

from convert.rewriting.affine import scale_of
from convert.rewriting.commuting import POOLS, RAMPS, scale_after
from convert.rewriting.graph import Array, only_consumer
from convert.rewriting.layers import layer_reading
from convert.rewriting.linear import NotExactError


def absorbed(value: ir.Value, factor: Array) -> bool:
    """True where a scale of `value` would become part of what alone reads it, or of what follows that."""
    reader = only_consumer(value)
    while reader is not None and not reader.domain and reader.op_type in (*POOLS, *RAMPS):
        if reader.inputs[0] is not value:
            return False
        try:
            factor = scale_after(reader, factor)
        except NotExactError:
            return False
        value = reader.outputs[0]
        reader = only_consumer(value)
    return reader is not None and (scale_of(reader) is not None or _linear(value))


def _linear(value: ir.Value) -> bool:
    layer = layer_reading(value)
    try:
        return layer is not None and layer.inputs > 0
    except NotExactError:
        return False
