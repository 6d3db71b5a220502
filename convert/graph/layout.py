"""Which values ONNX Runtime keeps in the blocked layout of a convolution, [N, C / 16, H, W, 16], on the CPU.

A convolution computes in that layout, and so do the operators below. Any other one needs the numbers in
their plain order: a copy before it and another after it, about 1.02 of a ReLU network's time each time
(measured with ONNX Runtime 1.32).
"""

import onnx_ir as ir

from convert.graph.affine import match_scale
from convert.graph.nodes import feeds_only, get_constant, get_producer, get_rank

_POOLS = ("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool")
_UNARY = ("Relu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Gelu", "Identity", "Dropout")
# With a constant, or as a difference, they stay after the rules have written them per channel and as sums.
_NARY = ("Add", "Sub", "Mul", "Sum", "Concat")
# These stay only where they become part of the convolution before them.
_FUSED = ("LeakyRelu", "Clip")
_CONVOLUTIONS = ("Conv", "BatchNormalization")
_SUMS = ("Add", "Sub", "Sum")
ALIGNMENT, DEEPEST = 4, 64


def is_blocked(value: ir.Value) -> bool:
    """True for an image that ONNX Runtime computes in the blocked layout."""
    return get_rank(value) == 4 and _search(value, {}, DEEPEST)


def _search(value: ir.Value, known: dict[ir.Value, bool], deepest: int) -> bool:
    if value in known or not deepest:
        return known.get(value, False)
    node = value.producer()
    if node is None or node.domain or not _keeps_layout(node):
        known[value] = False
    elif node.op_type == "Conv":
        known[value] = True
    else:
        images = [image for image in _list_images(node) if get_constant(image) is None]
        # `plain_term_to_convolution` takes the other terms of a sum into the layout.
        join = any if node.op_type in _SUMS and has_aligned_channels(value) else all
        known[value] = join(_search(image, known, deepest - 1) for image in images)
    return known[value]


def has_aligned_channels(image: ir.Value) -> bool:
    """True where ONNX Runtime computes a depthwise convolution of the image in the blocked layout."""
    channels = image.shape[1] if image.shape is not None and len(image.shape) == 4 else None
    return isinstance(channels, int) and channels > 0 and channels % ALIGNMENT == 0


def is_between_blocked(node: ir.Node, value: ir.Value) -> bool:
    """True where `value` is in the blocked layout, and every reader of the output of `node` keeps it."""
    readers = list(node.outputs[0].consumers())
    if not readers or node.outputs[0].is_graph_output() or not is_blocked(value):
        return False
    return all(not reader.domain and _reads_blocked(reader, node) for reader in readers)


def is_read_blocked(node: ir.Node, value: ir.Value) -> bool:
    """True where `value` is in the blocked layout, and some reader of the output of `node` keeps it."""
    if not is_blocked(value):
        return False
    # A curve keeps the layout, but its readers may not.
    return any(
        reader.op_type not in _UNARY or _list_blocked_readers(reader)
        for reader in _list_blocked_readers(node)
    )


def _reads_blocked(reader: ir.Node, node: ir.Node) -> bool:
    if reader.op_type == "Conv" or reader.op_type in _POOLS or reader.op_type == "BatchNormalization":
        return reader.inputs[0] is node.outputs[0]
    if reader.op_type in (*_UNARY, *_FUSED):
        return True
    if reader.op_type not in _NARY:
        return False
    others = [image for image in _list_images(reader) if image is not node.outputs[0]]
    if len(others) == 1 and get_constant(others[0]) is not None:
        return bool(
            _list_blocked_readers(reader)
        )  # a scale or a shift keeps the layout where what reads it does
    return all(get_constant(other) is not None or is_blocked(other) for other in others)


def _list_blocked_readers(node: ir.Node) -> list[ir.Node]:
    readers = node.outputs[0].consumers()
    return [reader for reader in readers if not reader.domain and _reads_blocked(reader, node)]


def _keeps_layout(node: ir.Node) -> bool:
    """True where the operator computes in the layout if its input is in it."""
    if node.op_type in _FUSED:
        source = get_producer(node.inputs[0])
        if source is None or not feeds_only(source.outputs[0], node):
            return False
        return source.op_type in _CONVOLUTIONS or match_scale(source) is not None
    return node.op_type in (*_CONVOLUTIONS, *_POOLS, *_UNARY, *_NARY)


def _list_images(node: ir.Node) -> list[ir.Value]:
    """The inputs that are images, not weights or settings."""
    images = node.inputs if node.op_type in _NARY else node.inputs[:1]
    return [image for image in images if image is not None]
