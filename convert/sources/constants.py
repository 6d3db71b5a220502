"""Constant folding of graphs that torch's newer exporter did not write."""

import math

import onnx_ir as ir
from onnxscript.optimizer import optimize_ir

LARGEST_FOLDED = 2**16  # elements of the result of an operator that can return more than it reads
_GROWING = ("ConstantOfShape", "Expand", "Tile", "Range", "Resize", "Upsample", "OneHot", "EyeLike", "Pad")
_REPEATING = ("Loop", "Scan")


def fold_constants(model: ir.Model) -> ir.Model:
    """The model itself, with its constant parts computed, and its sizes where they can be inferred."""
    optimize_ir(model, should_fold=_should_fold)
    return model


def _should_fold(node: ir.Node) -> bool | None:
    """False where computing the node could take unbounded memory or time; None for the general limits."""
    if node.op_type in _REPEATING:
        return False
    if node.op_type not in _GROWING:
        return None
    small = all(
        value.shape is not None
        and value.shape.is_static()
        and math.prod(value.shape.numpy()) <= LARGEST_FOLDED
        for value in node.outputs
    )
    return None if small else False
