"""Gates, such as Sigmoid, that set how steep a curve is."""

import onnx_ir as ir

from convert.graph.affine import match_scale
from convert.graph.nodes import get_constant, get_only_consumer, get_producer

_MOVES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Expand", "Identity", "Dropout")
# Their results are bounded, or ratios, so nothing as large as the argument hides an error in it.
_CURVES = ("Sigmoid", "Tanh", "HardSigmoid", "Erf", "Sin", "Cos", "Softmax", "LogSoftmax", "Exp")
_BOUNDED = ("Sigmoid", "Tanh", "HardSigmoid", "Erf", "Sin", "Cos", "Softmax")


def is_steepness(gate: ir.Value, argument: ir.Value) -> bool:
    """True where only a curve reads `gate` · y, scaled or moved, for a y that is not bounded.

    Of such a gate even a tiny value counts, in all its digits. A y that is the gate's own argument does not
    count: it is not large where the gate is tiny.
    """
    value, is_lifted = gate, False
    while (reader := get_only_consumer(value)) is not None and not reader.domain:
        if reader.op_type in _CURVES:
            return is_lifted
        if reader.op_type == "Mul" and match_scale(reader) is None:
            other = next(operand for operand in reader.inputs if operand is not value)
            is_lifted = is_lifted or (other is not argument and _is_unbounded(other))
        elif match_scale(reader) is None and (reader.op_type not in _MOVES or reader.inputs[0] is not value):
            return False
        value = reader.outputs[0]
    return False


def scales_own_gate(node: ir.Node, value: ir.Value) -> bool:
    """True where `node` computes s · x of x · Sigmoid(s · x), one operator to ONNX Runtime."""
    gate = get_only_consumer(node.outputs[0])
    product = get_only_consumer(gate.outputs[0]) if gate is not None and gate.op_type == "Sigmoid" else None
    return product is not None and product.op_type == "Mul" and value in product.inputs


def _is_unbounded(value: ir.Value | None) -> bool:
    source = get_producer(value)
    return get_constant(value) is None and (
        source is None or bool(source.domain) or source.op_type not in _BOUNDED
    )
