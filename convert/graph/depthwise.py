"""A scale and a shift per channel as a convolution of its own: 1×1, with a group for each channel."""

import numpy as np
import onnx_ir as ir

from convert.graph.affine import require_per_channel
from convert.graph.edit import Edit
from convert.graph.layout import ALIGNMENT, has_aligned_channels
from convert.graph.linear import NotExactError
from convert.graph.nodes import get_attribute, get_constant, is_representable
from convert.model_io.array import Array


def require_numbers(array: Array, image: ir.Value) -> Array:
    """The constant as one number per channel, [channels]. NotExactError where it is not, or out of range."""
    channels = image.shape[1] if image.shape is not None and has_aligned_channels(image) else None
    if not isinstance(channels, int):
        raise NotExactError(f"the channels are not known, or no multiple of {ALIGNMENT}")
    numbers = require_per_channel(array, image, 1, channels)
    if image.dtype is None or not is_representable(numbers, image.dtype.numpy()):
        raise NotExactError(f"the scale or shift leaves the range of {image.dtype}")
    return numbers


def write_depthwise(edit: Edit, image: ir.Value, scale: Array, shift: Array | None = None) -> ir.Value:
    """scale · image + shift, of numbers per channel and an image of known type."""
    assert image.dtype is not None
    dtype = image.dtype.numpy()
    weights = edit.constant(scale.reshape(-1, 1, 1, 1), dtype, "channels")
    bias = [edit.constant(shift, dtype, "shift")] if shift is not None and np.any(shift) else []
    return edit.op("Conv", image, weights, *bias, group=len(scale))


def scales_channels(node: ir.Node) -> bool:
    """True for a convolution that only scales each channel, which is a part of an activation and no layer."""
    weights = get_constant(node.inputs[1]) if node.op_type == "Conv" and not node.domain else None
    return weights is not None and weights.size == len(weights) == get_attribute(node, "group", 1) > 1
