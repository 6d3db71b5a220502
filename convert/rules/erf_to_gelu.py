"""c · x · (1 + Erf(k · x)) -> (c · √2 / k) · Gelu(√2 · k · x), for one k above 0.

Exact up to rounding: Gelu(u) = u / 2 · (1 + erf(u / √2)). At k = 1 / √2 and c = 1 / 2, GELU as exporters
write it below opset 20, no scale is left. Declined below opset 20, which has no Gelu: ONNX Runtime joins
the plain form by itself.
"""

import math

import onnx_ir as ir

from convert.graph.affine import match_scale
from convert.graph.edit import Edit
from convert.graph.gelu import ROUNDING, has_gelu, match_gate_argument, match_gated_product, write_gelu
from convert.graph.nodes import get_constant
from convert.graph.rule import FIRED, Declined, Outcome, Rule
from convert.model_io.array import Array


def _rewrite(node: ir.Node) -> Outcome:
    product = match_gated_product(node)
    if product is None:
        return None
    factor, pairs = product
    for value, gate in pairs:
        steepness = _match_steepness(gate, value)
        if steepness is None or value.dtype is None:
            continue
        if not has_gelu(node):
            return Declined("the graph's opset has no Gelu")
        if steepness <= 0:
            return Declined("the steepness is not above 0")
        return _write(node, value, steepness, factor)
    return None


def _write(node: ir.Node, value: ir.Value, steepness: float, factor: Array) -> Outcome:
    assert value.dtype is not None
    inner, dtype = math.sqrt(2) * steepness, value.dtype.numpy()
    inner = 1.0 if abs(inner - 1) <= ROUNDING else inner
    edit = Edit(node)
    if inner != 1:
        value = edit.op("Mul", value, edit.constant(inner, dtype, "steepness"))
    write_gelu(edit, value, factor * 2 / inner, dtype, "none")
    return FIRED


def _match_steepness(gate: ir.Value, value: ir.Value) -> float | None:
    """k of 1 + Erf(k · x)."""
    argument = match_gate_argument(gate, "Erf")
    if argument is None:
        return None
    if argument is value:
        return 1.0
    scaled = match_scale(argument.producer())
    if scaled is None or scaled[0] is not value or scaled[1].size != 1 or get_constant(value) is not None:
        return None
    return float(scaled[1].reshape(()))


RULE = Rule("erf_to_gelu", ("Mul", "Div"), _rewrite)
