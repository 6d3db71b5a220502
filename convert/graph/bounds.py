"""Values that are held between two constants, as Min(Max(x, a), b) or the other way round."""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from convert.graph.nodes import Array, constant, fits, only_consumer


@dataclass(frozen=True, slots=True)
class Between:
    """low <= value <= high, where the bounds do not cross."""

    value: ir.Value
    low: Array
    high: Array


def between(node: ir.Node) -> Between | None:
    """What a Max of a Min, or a Min of a Max, holds between two constants; None for anything else."""
    outer = _bounded(node)
    inner_node = outer[0].producer() if outer is not None else None
    if outer is None or inner_node is None or only_consumer(outer[0]) is not node:
        return None
    inner = _bounded(inner_node)
    if inner is None or (inner_node.op_type == "Min") == (node.op_type == "Min"):
        return None
    low, high = (inner[1], outer[1]) if node.op_type == "Min" else (outer[1], inner[1])
    return Between(inner[0], low, high)


def _bounded(node: ir.Node) -> tuple[ir.Value, Array] | None:
    """(x, the bound) of Max or Min of x and a constant that leaves x its shape."""
    if node.op_type == "Relu" and not node.domain and node.inputs[0] is not None:
        dtype = node.inputs[0].dtype
        return (node.inputs[0], np.zeros((), dtype.numpy())) if dtype is not None else None
    if node.op_type not in ("Max", "Min") or node.domain or len(node.inputs) != 2:
        return None
    for value, bound in (node.inputs, tuple(reversed(node.inputs))):
        array = constant(bound)
        if value is None or array is None or constant(value) is not None or array.dtype.kind != "f":
            continue
        return (value, array) if fits(array, value) else None
    return None
