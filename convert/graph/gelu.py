"""The product c · x · (1 + f(x)) of both formulas of GELU, and Gelu in its place."""

import numpy as np
import onnx_ir as ir

from convert.graph.affine import match_scale, match_shift
from convert.graph.edit import Edit
from convert.graph.nodes import feeds_only, get_only_consumer, get_producer, match_argument
from convert.model_io.array import Array

GELU_OPSET = 20
ROUNDING = 2.0**-22


def match_gated_product(node: ir.Node) -> tuple[Array, tuple[tuple[ir.Value, ir.Value], ...]] | None:
    """(c, pairs) of c · a · b, where either of a and b may be x; None for any other product."""
    reader = get_only_consumer(node.outputs[0])
    if reader is not None and match_scale(reader) is not None:
        return None  # the scale belongs to the product
    factor, values = _collect_factors(node)
    if len(values) != 2:
        return None
    first, second = values
    return factor, ((first, second), (second, first))


def match_gate_argument(gate: ir.Value, operator: str) -> ir.Value | None:
    """u of 1 + operator(u)."""
    shifted = match_shift(get_producer(gate))
    if shifted is None or not (shifted[1] == 1).all():
        return None
    return match_argument(shifted[0], operator)


def has_gelu(node: ir.Node) -> bool:
    """Whether the graph's opset has Gelu."""
    imports = node.graph.opset_imports if isinstance(node.graph, ir.Graph) else {}
    return imports.get("", 0) >= GELU_OPSET


def write_gelu(edit: Edit, value: ir.Value, factor: Array, dtype: np.dtype[np.generic], form: str) -> None:
    """factor · Gelu<approximate = form>(value) takes the node's place."""
    curve = edit.op("Gelu", value) if form == "none" else edit.op("Gelu", value, approximate=form)
    if (np.abs(factor - 1) > ROUNDING).any():
        curve = edit.op("Mul", curve, edit.constant(factor, dtype, "scale"))
    edit.replace(curve)


def _collect_factors(node: ir.Node) -> tuple[Array, list[ir.Value]]:
    """The constant factor and the other factors, through products and scales that only this product reads."""
    factor: Array = np.ones(())
    values: list[ir.Value] = []
    pending = [(node.outputs[0], node)]
    while pending:
        value, reader = pending.pop()
        source = value.producer()
        if source is None or not (source is node or feeds_only(value, reader)):
            values.append(value)
        elif (scaled := match_scale(source)) is not None:
            factor = factor * scaled[1]
            pending.append((scaled[0], source))
        elif source.op_type == "Mul" and not source.domain:
            pending += [(operand, source) for operand in source.inputs if operand is not None]
        else:
            values.append(value)
    return factor, values
