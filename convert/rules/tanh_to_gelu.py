"""c · x · (1 + Tanh(√(2 / π) · (x + 0.044715 · x³))) -> 2 · c · Gelu<approximate = tanh>(x).

Exact: it is the definition, in whichever order the cubic is written. Eight operators become one: 22 µs
instead of 50 for [1, 32, 32, 32]. Declined below opset 20, which has no Gelu.
"""

import math

import numpy as np
import onnx_ir as ir
from numpy.polynomial import Polynomial

from convert.graph.gelu import argument_of, gated, has_gelu, write_gelu
from convert.graph.nodes import Edit, scalar
from convert.graph.rule import FIRED, Declined, Outcome, Rule

CUBIC = math.sqrt(2 / math.pi) * np.array([0, 1, 0, 0.044715])
DEEPEST = 8  # operators between x and Tanh


def _rewrite(node: ir.Node) -> Outcome:
    found = gated(node)
    if found is None:
        return None
    factor, pairs = found
    for value, gate in pairs:
        if value.dtype is not None and _is_gate(gate, value):
            if not has_gelu(node):
                return Declined("the graph's opset has no Gelu")
            write_gelu(Edit(node), value, 2 * factor, value.dtype.numpy(), "tanh")
            return FIRED
    return None


def _is_gate(gate: ir.Value, value: ir.Value) -> bool:
    """True for 1 + Tanh(the cubic of x)."""
    cubic = _polynomial(argument_of(gate, "Tanh"), value, DEEPEST)
    return (
        cubic is not None
        and len(cubic.coef) == len(CUBIC)
        and np.allclose(cubic.coef, CUBIC, rtol=1e-6, atol=0)
    )


def _polynomial(value: ir.Value | None, variable: ir.Value, deepest: int) -> Polynomial | None:
    """What is computed of the variable, where that is a polynomial of at most the third degree."""
    if value is variable:
        return Polynomial([0, 1])
    number = scalar(value, beside=variable)
    if number is not None:
        return Polynomial([number])
    node = value.producer() if value is not None else None
    if node is None or node.domain or node.op_type not in ("Add", "Sub", "Mul", "Pow") or not deepest:
        return None
    one, two = (_polynomial(each, variable, deepest - 1) for each in node.inputs)
    if one is None or two is None:
        return None
    found = _joined(node.op_type, one, two)
    return found if found is not None and found.degree() < len(CUBIC) else None


def _joined(operator: str, one: Polynomial, two: Polynomial) -> Polynomial | None:
    if operator == "Pow":
        return one ** int(two.coef[0]) if two.degree() == 0 and two.coef[0] in (2, 3) else None
    return one * two if operator == "Mul" else one + two if operator == "Add" else one - two


RULE = Rule("tanh_to_gelu", ("Mul", "Div"), _rewrite)
