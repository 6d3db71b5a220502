"""Gates that set how steep another curve is: of those even a tiny value counts, in all its digits."""

import onnx_ir as ir

from convert.graph.affine import scale_of
from convert.graph.nodes import constant, only_consumer

_MOVES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Expand", "Identity", "Dropout")
# What they give is bounded, or a ratio, so nothing as large as their argument hides an error in it.
_CURVES = ("Sigmoid", "Tanh", "HardSigmoid", "Erf", "Sin", "Cos", "Softmax", "LogSoftmax", "Exp")
_BOUNDED = ("Sigmoid", "Tanh", "HardSigmoid", "Erf", "Sin", "Cos", "Softmax")


def is_steepness(gate: ir.Value, argument: ir.Value) -> bool:
    """True where a curve alone reads `gate` · y, scaled or moved, for a y that is not bounded.

    A y that is the gate's own argument is no more than that where the gate is tiny, so it does not count.
    """
    value, met = gate, False
    while (reader := only_consumer(value)) is not None and not reader.domain:
        if reader.op_type in _CURVES:
            return met
        if reader.op_type == "Mul" and scale_of(reader) is None:
            other = next(each for each in reader.inputs if each is not value)
            met = met or (other is not argument and _unbounded(other))
        elif scale_of(reader) is None and (reader.op_type not in _MOVES or reader.inputs[0] is not value):
            return False
        value = reader.outputs[0]
    return False


def _unbounded(value: ir.Value | None) -> bool:
    source = value.producer() if value is not None else None
    return constant(value) is None and (
        source is None or bool(source.domain) or source.op_type not in _BOUNDED
    )
