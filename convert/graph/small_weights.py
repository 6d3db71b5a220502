"""Layers whose weights have few bits, which ONNX Runtime multiplies by as they are."""

import onnx_ir as ir

from convert.graph.nodes import get_constant, match_operator


def has_blocks(node: ir.Node) -> bool:
    """Whether it makes floats of weights that have a scale for each block, as opset 21 and later can."""
    return node.op_type == "DequantizeLinear" and not node.domain and "block_size" in node.attributes


def follows_small_weights(value: ir.Value) -> bool:
    """Whether it is the result of a layer with such weights, or its sum with a constant.

    A `Relu` or `Clip` of it ONNX Runtime would take for a part of rounding, and compute the layer slowly.
    """
    total = match_operator(value, "Add")
    if total is not None and any(get_constant(other) is not None for other in total.inputs):
        return any(each is not None and follows_small_weights(each) for each in total.inputs)
    layer = match_operator(value, "MatMul", "Gemm")
    weights = None if layer is None else match_operator(layer.inputs[1], "DequantizeLinear")
    return weights is not None and has_blocks(weights)
