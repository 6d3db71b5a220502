"""Values between two constant bounds, as Min(Max(x, a), b) or Max(Min(x, b), a)."""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from convert.graph.nodes import get_constant, get_only_consumer, keeps_shape, list_operand_orders
from convert.model_io.array import Array


@dataclass(frozen=True, slots=True)
class BoundedValue:
    """A value and its bounds: low <= value <= high, unless the bounds cross."""

    value: ir.Value
    low: Array
    high: Array


def match_bounds(node: ir.Node) -> BoundedValue | None:
    """x and the bounds of Min(Max(x, low), high) or Max(Min(x, high), low); None for anything else."""
    outer = _match_bound(node)
    if outer is None or get_only_consumer(outer[0]) is not node:
        return None
    inner_node = outer[0].producer()
    inner = _match_bound(inner_node) if inner_node is not None else None
    if inner_node is None or inner is None or (inner_node.op_type == "Min") == (node.op_type == "Min"):
        return None
    low, high = (inner[1], outer[1]) if node.op_type == "Min" else (outer[1], inner[1])
    return BoundedValue(inner[0], low, high)


def _match_bound(node: ir.Node) -> tuple[ir.Value, Array] | None:
    """(x, the bound) of Max or Min of x and a constant that leaves x its shape; Relu is Max(x, 0)."""
    if node.op_type == "Relu" and not node.domain and node.inputs[0] is not None:
        dtype = node.inputs[0].dtype
        return (node.inputs[0], np.zeros((), dtype.numpy())) if dtype is not None else None
    if node.op_type not in ("Max", "Min") or node.domain:
        return None
    for value, bound in list_operand_orders(node):
        array = get_constant(bound)
        if value is None or array is None or get_constant(value) is not None or array.dtype.kind != "f":
            continue
        return (value, array) if keeps_shape(array, value) else None
    return None
