"""c · x · (1 + Erf(k · x)) -> (c · √2 / k) · Gelu(√2 · k · x), for one k above 0.

Exact up to rounding: Gelu(u) = u / 2 · (1 + erf(u / √2)). At k = 1 / √2 and c = 1 / 2, GELU as exporters
write it below opset 20, no scale is left. Declined below opset 20, which has no Gelu: ONNX Runtime joins
the plain form by itself.
"""

import math

import numpy as np
import onnx_ir as ir

from convert.rewriting.affine import scale_of, shift_of
from convert.rewriting.graph import Array, Edit, constant, only_consumer, only_feeds
from convert.rewriting.rule import FIRED, Declined, Outcome, Rule

GELU_OPSET = 20
ROUNDING = 2.0**-22


def _rewrite(node: ir.Node) -> Outcome:
    reader = only_consumer(node.outputs[0])
    if reader is not None and scale_of(reader) is not None:
        return None  # the scale belongs to the product
    constants, values = factors(node)
    if len(values) != 2:
        return None
    for value, gate in (values, values[::-1]):
        steepness = _steepness(gate, value)
        if steepness is None or value.dtype is None:
            continue
        imports = node.graph.opset_imports if isinstance(node.graph, ir.Graph) else {}
        if imports.get("", 0) < GELU_OPSET:
            return Declined("the graph's opset has no Gelu")
        if steepness <= 0:
            return Declined("the steepness is not above 0")
        return _gelu(node, value, steepness, constants)
    return None


def _gelu(node: ir.Node, value: ir.Value, steepness: float, factor: Array) -> Outcome:
    assert value.dtype is not None
    inner, dtype = math.sqrt(2) * steepness, value.dtype.numpy()
    inner = 1.0 if abs(inner - 1) <= ROUNDING else inner
    outer = factor * 2 / inner
    edit = Edit(node)
    if inner != 1:
        value = edit.op("Mul", value, edit.constant(inner, dtype, "steepness"))
    bent = edit.op("Gelu", value)
    if (np.abs(outer - 1) > ROUNDING).any():
        bent = edit.op("Mul", bent, edit.constant(outer, dtype, "scale"))
    edit.replace(bent)
    return FIRED


def factors(node: ir.Node) -> tuple[Array, list[ir.Value]]:
    """The product as a constant and what is not constant, through products and scales that only it reads."""
    factor: Array = np.ones(())
    values: list[ir.Value] = []
    pending = [(node.outputs[0], node)]
    while pending:
        value, reader = pending.pop()
        source = value.producer()
        whole = source is not None and (source is node or only_feeds(value, reader))
        scaled = scale_of(source) if source is not None and whole else None
        if scaled is not None and source is not None:
            factor = factor * scaled[1]
            pending.append((scaled[0], source))
        elif source is not None and whole and source.op_type == "Mul" and not source.domain:
            pending += [(each, source) for each in source.inputs if each is not None]
        else:
            values.append(value)
    return factor, values


def _steepness(gate: ir.Value, value: ir.Value) -> float | None:
    """k of 1 + Erf(k · x)."""
    total = gate.producer()
    found = shift_of(total) if total is not None else None
    error = found[0].producer() if found is not None and (found[1] == 1).all() else None
    if error is None or error.op_type != "Erf" or error.inputs[0] is None:
        return None
    argument = error.inputs[0]
    if argument is value:
        return 1.0
    source = argument.producer()
    scaled = scale_of(source) if source is not None else None
    if scaled is None or scaled[0] is not value or scaled[1].size != 1 or constant(value) is not None:
        return None
    return float(scaled[1].reshape(()))


RULE = Rule("erf_to_gelu", ("Mul", "Div"), _rewrite)
