"""c · x · (1 + Tanh(√(2 / π) · (x + 0.044715 · x³))) -> 2 · c · Gelu<approximate = tanh>(x).

Exact: it is the definition, in whichever order the cubic is written. Eight operators become one: 22 µs
instead of 50 for [1, 32, 32, 32]. Declined below opset 20, which has no Gelu.
"""

import math

import numpy as np
import onnx_ir as ir
from numpy.polynomial import Polynomial

from convert.graph.edit import Edit
from convert.graph.gelu import has_gelu, match_gate_argument, match_gated_product, write_gelu
from convert.graph.nodes import get_scalar, match_operator
from convert.graph.rule import FIRED, Declined, Outcome, Rule

CUBIC = math.sqrt(2 / math.pi) * np.array([0, 1, 0, 0.044715])
DEEPEST = 8  # operators between x and Tanh


def _rewrite(node: ir.Node) -> Outcome:
    product = match_gated_product(node)
    if product is None:
        return None
    factor, pairs = product
    for value, gate in pairs:
        if value.dtype is not None and _is_gate(gate, value):
            if not has_gelu(node):
                return Declined("the graph's opset has no Gelu")
            write_gelu(Edit(node), value, 2 * factor, value.dtype.numpy(), "tanh")
            return FIRED
    return None


def _is_gate(gate: ir.Value, value: ir.Value) -> bool:
    """True for 1 + Tanh(the cubic of x)."""
    cubic = _match_polynomial(match_gate_argument(gate, "Tanh"), value, DEEPEST)
    return (
        cubic is not None
        and len(cubic.coef) == len(CUBIC)
        and np.allclose(cubic.coef, CUBIC, rtol=1e-6, atol=0)
    )


def _match_polynomial(value: ir.Value | None, variable: ir.Value, deepest: int) -> Polynomial | None:
    """The value as a polynomial of the variable, where it is one of at most the third degree."""
    if value is variable:
        return Polynomial([0, 1])
    number = get_scalar(value, beside=variable)
    if number is not None:
        return Polynomial([number])
    node = match_operator(value, "Add", "Sub", "Mul", "Pow")
    if node is None or not deepest:
        return None
    first, second = (_match_polynomial(operand, variable, deepest - 1) for operand in node.inputs)
    if first is None or second is None:
        return None
    polynomial = _combine(node.op_type, first, second)
    return polynomial if polynomial is not None and polynomial.degree() < len(CUBIC) else None


def _combine(operator: str, first: Polynomial, second: Polynomial) -> Polynomial | None:
    if operator == "Pow":
        exponent = second.coef[0]
        return first ** int(exponent) if second.degree() == 0 and exponent in (2, 3) else None
    return first * second if operator == "Mul" else first + second if operator == "Add" else first - second


RULE = Rule("tanh_to_gelu", ("Mul", "Div"), _rewrite)
