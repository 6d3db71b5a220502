"""What the two formulas of GELU share: a product c · x · (1 + f(x)), and how Gelu is written for it."""

import numpy as np
import onnx_ir as ir

from convert.graph.affine import scale_of, shift_of
from convert.graph.nodes import Array, Edit, only_consumer, only_feeds

GELU_OPSET = 20
ROUNDING = 2.0**-22


def gated(node: ir.Node) -> tuple[Array, tuple[tuple[ir.Value, ir.Value], ...]] | None:
    """The product as a constant and its two values, either of which may be x; None for any other product."""
    reader = only_consumer(node.outputs[0])
    if reader is not None and scale_of(reader) is not None:
        return None  # the scale belongs to the product
    factor, values = _factors(node)
    if len(values) != 2:
        return None
    one, two = values
    return factor, ((one, two), (two, one))


def argument_of(gate: ir.Value, operator: str) -> ir.Value | None:
    """u where the gate is 1 + operator(u)."""
    total = gate.producer()
    found = shift_of(total) if total is not None else None
    curve = found[0].producer() if found is not None and (found[1] == 1).all() else None
    return curve.inputs[0] if curve is not None and curve.op_type == operator and not curve.domain else None


def has_gelu(node: ir.Node) -> bool:
    """Whether the graph's opset does."""
    imports = node.graph.opset_imports if isinstance(node.graph, ir.Graph) else {}
    return imports.get("", 0) >= GELU_OPSET


def write_gelu(edit: Edit, value: ir.Value, factor: Array, dtype: np.dtype[np.generic], form: str) -> None:
    """Puts factor · Gelu<approximate = form>(value) in the node's place."""
    bent = edit.op("Gelu", value) if form == "none" else edit.op("Gelu", value, approximate=form)
    if (np.abs(factor - 1) > ROUNDING).any():
        bent = edit.op("Mul", bent, edit.constant(factor, dtype, "scale"))
    edit.replace(bent)


def _factors(node: ir.Node) -> tuple[Array, list[ir.Value]]:
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
