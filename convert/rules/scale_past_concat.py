"""Concat(x · s, y · t) -> Concat(x, y) · [s, t], so that all scales meet the next layer at once.

Exact: joining numbers does not change them. The scales are one number or one a channel, and the branches are
joined along their channels; equal numbers pass whatever the axis. Declined where a branch has none.
"""

import numpy as np
import onnx_ir as ir

from convert.graph.affine import scale_of
from convert.graph.nodes import Array, Edit, only_feeds, rank, spread
from convert.graph.rule import FIRED, Declined, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    branches = [_scaled(value, node) for value in node.inputs]
    found = [branch for branch in branches if branch is not None]
    dtype = node.outputs[0].dtype
    if not found or dtype is None:
        return None
    if len(found) < len(branches):
        return Declined("a branch stands without a scale, or its scaled value is read elsewhere too")
    factor = _joined(found, node)
    if factor is None:
        return Declined("the scales do not follow the channels that are joined")
    edit = Edit(node)
    joined = edit.again(*(value for value, _ in found))
    edit.replace(edit.op("Mul", joined, edit.constant(factor, dtype.numpy(), "scale")))
    return FIRED


def _scaled(value: ir.Value | None, node: ir.Node) -> tuple[ir.Value, Array] | None:
    source = value.producer() if value is not None else None
    return scale_of(source) if source is not None and value is not None and only_feeds(value, node) else None


def _joined(branches: list[tuple[ir.Value, Array]], node: ir.Node) -> Array | None:
    """The scale of the joined branches; None where it cannot be one number or one a channel."""
    first = branches[0][1]
    if all(factor.size == 1 and factor.reshape(()) == first.reshape(()) for _, factor in branches):
        return first.reshape(())
    axes, axis = rank(node.outputs[0]), node.attributes.get_int("axis", 0)
    if axes is None:
        return None
    vectors: list[Array] = []
    for value, factor in branches:
        channels = value.shape[axis] if value.shape is not None else None
        vector = spread(factor, value, axis, channels) if isinstance(channels, int) else None
        if vector is None:
            return None
        vectors.append(vector)
    return np.concatenate(vectors).reshape((-1,) + (1,) * (axes - axis % axes - 1))


RULE = Rule("scale_past_concat", ("Concat",), _rewrite)
