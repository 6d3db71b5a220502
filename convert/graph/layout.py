"""Which values ONNX Runtime keeps in the blocked layout of a convolution, [N, C / 16, H, W, 16], on the CPU.

A convolution computes in that layout, and so do the operators below. Any other one needs the numbers in
their plain order: a copy before it and another after it, about 1.02 of a ReLU network's time each time
(measured with ONNX Runtime 1.32).
"""

import onnx_ir as ir

from convert.graph.affine import scale_of
from convert.graph.nodes import constant, only_feeds, rank

_POOLS = ("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool")
_UNARY = ("Relu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Gelu", "Identity", "Dropout")
# With a constant, or to subtract, they stay once the rules have written them per channel and as sums.
_NARY = ("Add", "Sub", "Mul", "Sum", "Concat")
# These stay only where they become part of the convolution before them.
_FUSED = ("LeakyRelu", "Clip")
_CONVOLUTIONS = ("Conv", "BatchNormalization")


def blocked(value: ir.Value) -> bool:
    """True for an image that is in the blocked layout once it is computed."""
    if rank(value) != 4:
        return False
    pending, seen = [value], set[ir.Value]()
    while pending:
        current = pending.pop()
        node = current.producer()
        if current in seen:
            continue
        seen.add(current)
        if node is None or node.domain or not _keeps(node):
            return False
        if node.op_type != "Conv":
            pending += [each for each in _data(node) if constant(each) is None]
    return True


def between_blocked(node: ir.Node, value: ir.Value) -> bool:
    """True where `value` is in the blocked layout, and all that reads the output of `node` would keep it."""
    readers = list(node.outputs[0].consumers())
    if not readers or node.outputs[0].is_graph_output() or not blocked(value):
        return False
    return all(not reader.domain and _takes(reader, node) for reader in readers)


def _takes(reader: ir.Node, node: ir.Node) -> bool:
    if reader.op_type == "Conv" or reader.op_type in _POOLS or reader.op_type == "BatchNormalization":
        return reader.inputs[0] is node.outputs[0]
    if reader.op_type in (*_UNARY, *_FUSED):
        return True
    if reader.op_type not in _NARY:
        return False
    others = [each for each in _data(reader) if each is not node.outputs[0]]
    return all(constant(each) is not None or blocked(each) for each in others)


def _keeps(node: ir.Node) -> bool:
    """True where the operator computes in the layout if its data comes in it."""
    if node.op_type in _FUSED:
        source = node.inputs[0].producer() if node.inputs[0] is not None else None
        linear = source is not None and (source.op_type in _CONVOLUTIONS or scale_of(source) is not None)
        return linear and source is not None and only_feeds(source.outputs[0], node)
    return node.op_type in (*_CONVOLUTIONS, *_POOLS, *_UNARY, *_NARY)


def _data(node: ir.Node) -> list[ir.Value]:
    """The inputs that are images, not weights or settings."""
    given = node.inputs if node.op_type in _NARY else node.inputs[:1]
    return [each for each in given if each is not None]
